//! `order: {of: FIELD, is: […]}`: exactly the next frames that have the field, by its value, or by how far its value is
//! from that of the first.

use super::{Progress, Relation, Why};
use crate::case::model;
use crate::frame::decode::Decoded;
use crate::frame::field::Kind;
use crate::frame::{Field, Value};

/// An order on its way to being complete.
#[derive(Clone, Debug)]
pub struct Order {
    of: &'static Field,
    is: Vec<Value>,
    seen: Vec<Value>,
    relative: bool,
    /// What the first frame had, when the others count from it.
    first: Option<u64>,
}

impl Order {
    /// A new one. An empty list is complete only with the first frame that breaks it: the reader of cases refuses it.
    #[must_use]
    pub fn new(order: &model::Order) -> Self {
        let (of, is) = (order.of, order.is.clone());
        Self { of, is, seen: Vec::new(), relative: order.relative, first: None }
    }

    /// A value as it is compared: as it stands, or counted from that of the first frame, in the width of the field.
    fn counted(&mut self, got: &Value) -> Value {
        match (self.relative, got, self.of.kind) {
            (true, Value::Number(number), Kind::Number { bits }) => {
                let first = *self.first.get_or_insert(*number);
                Value::Number(number.wrapping_sub(first) & (u64::MAX >> (64 - u32::from(bits))))
            }
            _ => got.clone(),
        }
    }

    fn list(&self, values: &[Value]) -> String {
        values.iter().map(|v| self.of.show(v)).collect::<Vec<_>>().join(", ")
    }
}

impl Relation for Order {
    fn push(&mut self, d: &Decoded<'_>) -> Progress {
        let Some(got) = d.get(self.of) else {
            return Progress::NotMine;
        };
        let nth = self.seen.len() + 1;
        if let Some(problem) = d.problems.first() {
            return Why::failed(nth, format!("frame {nth} of the order is malformed: {problem}"));
        }
        let got = self.counted(got);
        let wanted = self.is.get(self.seen.len());
        if wanted != Some(&got) {
            let wanted = wanted.map_or_else(|| "no more".to_owned(), |v| self.of.show(v));
            let what = format!(
                "frame {nth} of the order has {} {}, expected {wanted} (before it: [{}])",
                self.of.name(),
                self.of.show(&got),
                self.list(&self.seen)
            );
            return Why::failed(nth, what);
        }
        self.seen.push(got);
        if self.seen.len() == self.is.len() { Progress::Complete } else { Progress::NeedMore }
    }

    fn missing(&self) -> usize {
        self.is.len().saturating_sub(self.seen.len())
    }

    fn awaited(&self) -> String {
        format!(
            "{} of {} frames came, with {} [{}]; still missing: [{}]",
            self.seen.len(),
            self.is.len(),
            self.of.name(),
            self.list(&self.seen),
            self.list(self.is.get(self.seen.len()..).unwrap_or_default())
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::fixtures::{arp_request, spec};
    use crate::frame::{Layer, build, decode, field};
    use rstest::rstest;

    fn to_ports(ports: &[u16]) -> (Vec<Progress>, String) {
        let of = field::find(Layer::Udp, "dst_port").unwrap();
        let step =
            model::Order { of, is: [1, 1, 2].map(Value::Number).to_vec(), relative: false, within: None };
        let mut order = Order::new(&step);
        assert_eq!(order.push(&decode(&arp_request())), Progress::NotMine);
        let pushed = ports
            .iter()
            .map(|port| {
                let text = format!("udp: {{src_port: 1, dst_port: {port}}}");
                order.push(&decode(&build(&spec(&text, None), None).unwrap()))
            })
            .collect();
        (pushed, order.awaited())
    }

    #[rstest]
    #[case::all(&[1, 1, 2], "3 of 3 frames came, with udp.dst_port [1, 1, 2]; still missing: []")]
    #[case::one_missing(&[1, 1], "2 of 3 frames came, with udp.dst_port [1, 1]; still missing: [2]")]
    fn values_in_order_are_taken(#[case] ports: &[u16], #[case] awaited: &str) {
        let (pushed, text) = to_ports(ports);
        let mut expected = vec![Progress::NeedMore; ports.len()];
        if ports.len() == 3 {
            expected[2] = Progress::Complete;
        }
        assert_eq!((pushed, text.as_str()), (expected, awaited));
    }

    #[rstest]
    #[case::one_more_each_time(&[7, 8, 9], true)]
    #[case::beyond_the_width_of_the_field(&[0xfffe, 0xffff, 0], true)]
    #[case::one_left_out(&[7, 8, 10], false)]
    #[case::all_the_same(&[7, 7, 7], false)]
    fn values_may_count_from_the_first(#[case] ids: &[u16], #[case] holds: bool) {
        let of = field::find(Layer::Ipv4, "id").unwrap();
        let is = [0, 1, 2].map(Value::Number).to_vec();
        let mut order = Order::new(&model::Order { of, is, relative: true, within: None });
        let pushed = ids.iter().map(|id| {
            let text = format!("ipv4: {{id: {id}}}; udp: {{src_port: 1, dst_port: 2}}");
            order.push(&decode(&build(&spec(&text, None), None).unwrap()))
        });
        assert_eq!(pushed.last() == Some(Progress::Complete), holds);
    }

    #[test]
    fn a_value_out_of_order_breaks_it() {
        let (pushed, _) = to_ports(&[1, 2]);
        let Some(Progress::Failed(why)) = pushed.last() else { panic!("{pushed:?}") };
        assert_eq!(why.to_string(), "frame 2 of the order has udp.dst_port 2, expected 1 (before it: [1])");
    }
}
