//! What a case says of a real peer: `peer: {kind: linux}`, the wire to it, its programs, and applications on our side.

use super::command::split_words;
use super::model::{Action, AppStep, Application, HttpGet, Impairment, Outcome, PeerRun, Tolerance};
use super::names::Named;
use super::peer_shape::{BUFFERS, PEER, PEERS, WIRE};
use super::problem::Problem;
use super::reader::{Fields, Read};
use super::shape::keys_of;
use super::trial::TrialReader;
use super::yaml::{Kind, Node};
use crate::rig::folder::Folder;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// By when a program or a download must have ended, where the case does not say.
const BOUND: Duration = Duration::from_secs(30);

impl TrialReader<'_> {
    /// Whether the peer answers ARP by itself, and whether it is a real one.
    pub fn peer(&mut self, node: &Node) -> Read<(bool, Option<Impairment>)> {
        let fields = self.r.fields(node, "peer", &[PEER])?;
        let kind = fields.get("kind").map(|kind| self.r.one_of(kind, PEERS)).transpose()?;
        let real = (kind == Some("linux")).then(Impairment::default);
        let Some(arp) = fields.get("arp") else { return Ok((real.is_none(), real)) };
        let automatic = self.r.one_of(arp, &["auto", "manual"])? == "auto";
        if real.is_some() {
            // Its steps are read as those of a real peer.
            self.real_peer = real;
            let problem = Problem::at(&arp.span, "a real peer answers ARP requests as it likes");
            return Err(self.r.report(problem.help("leave `arp:` away, or `kind: linux`")));
        }
        Ok((automatic, real))
    }

    /// `buffers:` of a peer.
    pub fn buffers(&mut self, node: &Node) -> Read<bool> {
        let fields = self.r.fields(node, "peer", &[PEER])?;
        Ok(fields.get("buffers").map(|buffers| self.r.one_of(buffers, BUFFERS)).transpose()?.is_some())
    }

    /// `wire:` of the case, once its peer is known.
    pub fn wire_to_the_peer(&mut self, fields: &Fields<'_>) -> Read<()> {
        let Some(node) = fields.get("wire") else { return Ok(()) };
        let wire = self.wire(node)?;
        match &mut self.real_peer {
            Some(impairment) => *impairment = wire,
            None => {
                let problem = Problem::at(&node.span, "`wire:` is for a real peer")
                    .label("here the steps say what comes and what does not");
                return Err(self.r.report(problem.help("say `peer: {kind: linux}` as well")));
            }
        }
        Ok(())
    }

    /// `wire: {loss: 1%, reorder: 1%, duplicate: 1%, seed: 1}`
    fn wire(&mut self, node: &Node) -> Read<Impairment> {
        let fields = self.r.fields(node, "wire", &[WIRE])?;
        let mut part = |key: &str| fields.get(key).map_or(Ok(0), |node| self.per_million(node));
        let (loss, reorder, duplicate) = (part("loss")?, part("reorder")?, part("duplicate")?);
        let seed = fields.get("seed").map(|node| self.r.number(node, 0, i64::MAX)).transpose()?;
        Ok(Impairment { loss, reorder, duplicate, seed: seed.unwrap_or(0).unsigned_abs() })
    }

    fn per_million(&mut self, node: &Node) -> Read<u32> {
        match self.r.tolerance(node)? {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 0 and 1,000,000"
            )]
            Tolerance::Percent(part) if (0.0..=100.0).contains(&part) => Ok((part * 10_000.0).round() as u32),
            _ => self.r.wrong(node, "a part of all frames", "between 0 and 100 per cent, such as `1%`"),
        }
    }

    /// Such a step is for a real peer alone.
    fn needs_a_real_peer(&mut self, node: &Node) -> Read<()> {
        if self.real_peer.is_some() {
            return Ok(());
        }
        let message = format!("`{}` needs a real peer", self.step_name);
        let problem = Problem::at(&node.span, message).label("the peer is the harness");
        Err(self.r.report(problem.help("say `peer: {kind: linux}` at the top of the case")))
    }

    /// `peer_run: "curl …"`, or with more to say `peer_run: {run: "curl …", …}`
    pub fn peer_run(&mut self, node: &Node) -> Read<Action> {
        self.needs_a_real_peer(node)?;
        if !matches!(node.kind, Kind::Map(_)) {
            let words = self.program(node)?;
            let (stdout, prints, background) = (None, None, None);
            return Ok(Action::PeerRun(PeerRun {
                words,
                stdout,
                prints,
                background,
                within: BOUND,
                returns: 0,
            }));
        }
        let fields = self.r.fields(node, "peer_run", keys_of("peer_run"))?;
        let run = self.r.need(&fields, "run")?;
        let words = self.program(run)?;
        let stdout = fields.get("stdout").map(|node| self.file(node)).transpose()?;
        let prints = fields.get("prints").map(|node| self.r.text(node).map(str::to_owned)).transpose()?;
        let returns = fields.get("returns").map(|node| self.r.number(node, 0, 255)).transpose()?.unwrap_or(0);
        let within = self.within(&fields)?.unwrap_or(BOUND);
        // One that nobody waits for ends with the trial.
        let background = self.background(&fields)?;
        Ok(Action::PeerRun(PeerRun { words, stdout, prints, background, within, returns }))
    }

    /// `http_server: {port: 8080}`
    pub fn http_server(&mut self, node: &Node) -> Read<Action> {
        self.needs_a_real_peer(node)?;
        let fields = self.r.fields(node, "http_server", keys_of("http_server"))?;
        let port = self.r.need(&fields, "port")?;
        let port = u16::try_from(self.r.number(port, 1, 65_535)?).unwrap_or(u16::MAX);
        let application = Application::HttpServer { port };
        let outcome = Outcome::default();
        Ok(Action::App(AppStep { application, background: None, within: None, outcome }))
    }

    /// `http_get: {from: "http://192.0.2.2:8000/file", to: file}`
    pub fn http_get(&mut self, node: &Node) -> Read<Action> {
        self.needs_a_real_peer(node)?;
        let fields = self.r.fields(node, "http_get", keys_of("http_get"))?;
        let (from, to) = (self.r.need(&fields, "from")?, self.r.need(&fields, "to")?);
        let Some((server, path)) = page(self.r.text(from)?) else {
            let help = "an address of IPv4, such as `http://192.0.2.2:8000/file`";
            return self.r.wrong(from, "the URL of a page", help);
        };
        let to = self.file(to)?;
        let returns = fields.get("returns").map(|node| self.r.number(node, 0, i64::MAX)).transpose()?;
        let error = fields.get("error").map(|node| self.r.text(node).map(str::to_owned)).transpose()?;
        let within = Some(self.within(&fields)?.unwrap_or(BOUND));
        let background = self.background(&fields)?;
        let application = Application::HttpGet(HttpGet { server, path, to });
        let outcome = Outcome { returns, error, ..Outcome::default() };
        Ok(Action::App(AppStep { application, background, within, outcome }))
    }

    fn background(&mut self, fields: &Fields<'_>) -> Read<Option<String>> {
        let Some(node) = fields.get("background") else { return Ok(None) };
        let named = Named::Background { judged: true, joined: false, may_stay: true };
        Ok(Some(self.names.add(&mut self.r, node, named)?))
    }

    fn program(&mut self, node: &Node) -> Read<Vec<String>> {
        let text = self.r.text(node)?;
        match split_words(text) {
            Ok(words) if !words.is_empty() => Ok(words),
            Ok(_) => self.r.wrong(node, "a program", "such as `curl -sS http://192.0.2.1:8080/file`"),
            Err(at) => {
                let problem = Problem::at(&node.part(at, text.len()), "a quote that is not closed");
                Err(self.r.report(problem.help("add the closing `\"`")))
            }
        }
    }

    fn file(&mut self, node: &Node) -> Read<String> {
        let name = self.r.text(node)?.to_owned();
        if Folder::is_name(&name) {
            return Ok(name);
        }
        self.r.wrong(
            node,
            "the name of a file",
            "in the folder of the trial: without `/` and no `.` in front",
        )
    }
}

/// Address, port and path of a URL.
fn page(url: &str) -> Option<(SocketAddrV4, String)> {
    let rest = url.strip_prefix("http://")?;
    let (server, path) = rest.split_once('/')?;
    let server = match server.parse::<SocketAddrV4>() {
        Ok(server) => server,
        Err(_) => SocketAddrV4::new(server.parse::<Ipv4Addr>().ok()?, 80),
    };
    (!path.contains(char::is_whitespace)).then(|| (server, format!("/{path}")))
}

#[cfg(test)]
mod tests {
    use super::page;
    use rstest::rstest;

    #[rstest]
    #[case::whole("http://192.0.2.2:8000/a/b", Some("192.0.2.2:8000 /a/b"))]
    #[case::without_a_port("http://192.0.2.2/", Some("192.0.2.2:80 /"))]
    #[case::without_a_path("http://192.0.2.2", None)]
    #[case::by_a_name("http://example.org/", None)]
    #[case::of_another_scheme("https://192.0.2.2/", None)]
    #[case::with_a_second_line("http://192.0.2.2/a\r\nHost: b", None)]
    fn a_url_is_taken_apart(#[case] url: &str, #[case] parts: Option<&str>) {
        let found = page(url).map(|(server, path)| format!("{server} {path}"));
        assert_eq!(found.as_deref(), parts);
    }
}
