//! Steps that are about frames: expect, any_order, order, fragments, inject.

use super::calls::lonely_tolerance;
use super::frames::{Purpose, field_value, frame};
use super::model::{Action, After, Expect, Fragments, Inject, Order, Segments, Tolerance};
use super::names::Named;
use super::problem::{Problem, choose};
use super::reader::{Fields, Read};
use super::shape::{EXPECT, FCS, INJECT, PUSH, keys_of};
use super::trial::TrialReader;
use super::yaml::{Kind, Node};
use crate::frame::field::Kind as FieldKind;
use crate::frame::{FIELDS, Field, Layer};
use std::time::Duration;

impl TrialReader<'_> {
    /// `expect: {…}`
    pub fn expect(&mut self, node: &Node) -> Read<Expect> {
        let fields = self.r.fields(node, "expect", EXPECT)?;
        let pattern = frame(&mut self.r, &fields, Purpose::Expect, self.patterns)?;
        let within = self.within(&fields)?;
        let after = self.after_step(&fields)?;
        if let (Some(_), Some(after)) = (within, fields.key("after")) {
            let problem = Problem::at(&after.span, "`within` and `after` together")
                .help("`after` with `tolerance` says when already: keep one of them");
            return Err(self.r.report(problem));
        }
        let name = match fields.get("as") {
            Some(node) => Some(self.names.add(&mut self.r, node, Named::Frame)?),
            None => None,
        };
        if let Some(name) = &name {
            self.expected.insert(name.clone(), pattern.clone());
        }
        Ok(Expect { at: node.span.location(), name, pattern, within, after })
    }

    pub(super) fn within(&mut self, fields: &Fields<'_>) -> Read<Option<Duration>> {
        fields.get("within").map(|node| self.r.duration(node)).transpose()
    }

    fn after_step(&mut self, fields: &Fields<'_>) -> Read<Option<After>> {
        let Some(node) = fields.get("after") else {
            return match fields.get("tolerance") {
                Some(node) => Err(self.r.report(lonely_tolerance(node))),
                None => Ok(None),
            };
        };
        let entries = self.r.map(node, "write `after: {NAME: 200ms}`")?;
        let [(name, time)] = entries else {
            return self.r.wrong(node, "one name with its time", "write `after: {NAME: 200ms}`");
        };
        let step = self.names.step(&mut self.r, name, false)?;
        let delay = self.r.duration(time)?;
        let tolerance = fields.get("tolerance").map(|node| self.r.tolerance(node)).transpose()?;
        Ok(Some(After { step, delay, tolerance: tolerance.unwrap_or(Tolerance::Default) }))
    }

    /// `any_order: [{…}, …]`; each may be written as a step `expect: {…}` too.
    pub fn any_order(&mut self, node: &Node) -> Read<Action> {
        let items = self.r.list(node, "a list of frames, each as in `expect:`")?;
        if items.is_empty() {
            return self.r.wrong(node, "a list of frames", "write at least one");
        }
        let mut frames = Vec::new();
        for item in items {
            let body = match &item.kind {
                Kind::Map(entries) => match entries.as_slice() {
                    [(key, value)] if key.text() == Some("expect") => value,
                    _ => item,
                },
                _ => item,
            };
            frames.push(self.expect(body)?);
        }
        Ok(Action::AnyOrder(frames))
    }

    /// `order: {of: FIELD, is: […]}`, and `relative: true`
    pub fn order(&mut self, node: &Node) -> Read<Action> {
        let fields = self.r.fields(node, "order", keys_of("order"))?;
        let (of, is) = (self.r.need(&fields, "of")?, self.r.need(&fields, "is")?);
        let field = self.field(of)?;
        let items = self.r.list(is, "write `is: [1, 2, 3]`")?;
        if items.is_empty() {
            return self.r.wrong(
                is,
                "a list of values",
                "name at least one; for no frame at all use `quiet:`",
            );
        }
        let values =
            items.iter().map(|item| field_value(&mut self.r, field, item)).collect::<Read<Vec<_>>>()?;
        let relative = match fields.get("relative") {
            Some(node) if !matches!(field.kind, FieldKind::Number { .. }) => {
                return self.r.wrong(node, "a field that is a number", "such as `of: ipv4.id`");
            }
            Some(node) => self.r.boolean(node)?,
            None => false,
        };
        Ok(Action::Order(Order { of: field, is: values, relative, within: self.within(&fields)? }))
    }

    /// `segments: {range: "1:14601", mss: 1460}`
    pub fn segments(&mut self, node: &Node) -> Read<Action> {
        let fields = self.r.fields(node, "segments", keys_of("segments"))?;
        let (range, mss) = (self.r.need(&fields, "range")?, self.r.need(&fields, "mss")?);
        let text = self.r.text(range)?;
        let ends =
            text.split_once(':').and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
        let Some((first, last)) = ends.filter(|(a, b): &(u32, u32)| a != b) else {
            return self.r.wrong(
                range,
                "a stretch of a stream",
                "such as `\"1:14601\"`: first, the one after the last",
            );
        };
        if !self.r.has_flow {
            let problem = Problem::at(&node.span, "no segment before this step named its ports");
            return Err(self
                .r
                .report(problem.help("open the connection first: `tcp: \"40000 > 8080 S 0:0(0)\"`")));
        }
        let length = last.wrapping_sub(first);
        let payload = match fields.get("payload") {
            Some(node) => {
                let payload = self.r.payload(node, self.patterns)?;
                if payload.0.len() != length as usize {
                    let what = format!("a payload of {} bytes for a stretch of {length}", payload.0.len());
                    let problem = Problem::at(&node.span, what).label("not as long");
                    return Err(self
                        .r
                        .report(problem.help("make the two the same, or leave `payload:` out")));
                }
                Some(payload)
            }
            None => None,
        };
        let mss = u32::try_from(self.r.number(mss, 1, 65_495)?).unwrap_or(1);
        let push = fields.get("push").map(|node| self.r.one_of(node, PUSH)).transpose()?;
        let ack = fields.get("ack").map(|node| self.r.number(node, 0, i64::from(u32::MAX))).transpose()?;
        let fin = fields.get("fin").map(|node| self.r.boolean(node)).transpose()?.unwrap_or(false);
        let ack = ack.and_then(|ack| u32::try_from(ack).ok());
        let vlan = fields.get("vlan").map(|node| self.r.number(node, 0, 4094)).transpose()?;
        let vlan = vlan.and_then(|id| u16::try_from(id).ok());
        let within = self.within(&fields)?;
        let push_on_last = push == Some("last");
        Ok(Action::Segments(Segments { first, length, mss, payload, push_on_last, fin, ack, vlan, within }))
    }

    /// The full name of a field.
    pub fn field(&mut self, node: &Node) -> Read<&'static Field> {
        let text = self.r.word(node)?;
        let found = FIELDS.iter().find(|field| field.name() == text);
        if let Some(field) = found {
            return Ok(field);
        }
        let names: Vec<_> = FIELDS.iter().map(Field::name).collect();
        let problem = Problem::at(&node.span, format!("there is no field `{text}`"))
            .label("unknown field")
            .help(choose(text, names.iter().map(String::as_str)))
            .and_help("a field is named with its header, such as `udp.dst_port`");
        Err(self.r.report(problem))
    }

    /// `fragments: {…}`
    pub fn fragments(&mut self, node: &Node) -> Read<Action> {
        let fields = self.r.fields(node, "fragments", keys_of("fragments"))?;
        let pattern = frame(&mut self.r, &fields, Purpose::Fragments, self.patterns)?;
        if pattern.has(Layer::Arp) || pattern.has(Layer::Tcp) {
            let name = if pattern.has(Layer::Arp) { "arp" } else { "tcp" };
            let key = fields.key(name).unwrap_or(node);
            let problem = Problem::at(&key.span, format!("`{name}` is not sent in fragments"))
                .help("`fragments` is for datagrams: `udp` or `icmp`");
            return Err(self.r.report(problem));
        }
        let (mtu, payload) = (self.r.need(&fields, "mtu")?, self.r.need(&fields, "payload")?);
        let mtu = u32::try_from(self.r.number(mtu, 68, 65_535)?).unwrap_or(68);
        let payload = self.r.payload(payload, self.patterns)?;
        Ok(Action::Fragments(Fragments { mtu, pattern, payload, within: self.within(&fields)? }))
    }

    /// `inject: {…}`, with its name.
    pub fn inject(&mut self, node: &Node) -> Read<(Option<String>, Action)> {
        let fields = self.r.fields(node, "inject", INJECT)?;
        let frame = frame(&mut self.r, &fields, Purpose::Inject, self.patterns)?;
        if frame.quotes.is_some()
            && let Some(Kind::Map(entries)) = fields.get("icmp").map(|icmp| &icmp.kind)
            && let Some((_, value)) = entries.iter().find(|(key, _)| key.text() == Some("quotes"))
        {
            self.names.step(&mut self.r, value, true)?;
        }
        let name = match fields.get("as") {
            Some(node) => Some(self.names.add(&mut self.r, node, Named::Event)?),
            None => None,
        };
        let cut_to = fields.get("cut_to").map(|node| self.r.number(node, 14, 9216)).transpose()?;
        let cut_to = cut_to.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX);
        let fcs = fields.get("fcs").map(|node| self.r.one_of(node, FCS)).transpose()?;
        Ok((name, Action::Inject(Inject { frame, has_wrong_fcs: fcs.is_some(), cut_to })))
    }
}
