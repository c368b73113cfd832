//! An HTTP/1.0 server (RFC 1945) that serves the files of a folder: GET and HEAD, a connection for each request.
//! Who does not ask, or does not take the answer, is not waited for long.

use super::App;
use super::stream::{CHUNK, Came, Stream, listen};
use crate::rig::CallResult;
use crate::rig::folder::Folder;
use stack_under_test::errno::Errno;
use stack_under_test::socket::Fd;
use stack_under_test::stack::Stack;
use stack_under_test::time::{Duration, Instant};
use std::fs::File;
use std::io::Read;

/// The longest request.
const REQUEST: usize = 16 << 10;
/// Connections at once; for one more, the one that has been idle longest is closed.
const AT_ONCE: usize = 256;
/// How long a request may take to be whole.
const ASKS: Duration = Duration::from_millis(10_000);
/// How long nothing may be taken of an answer.
const TAKES: Duration = Duration::from_millis(30_000);

/// The server with its connections.
#[derive(Debug)]
pub struct HttpServer {
    port: u16,
    folder: Folder,
    /// What `/` gives.
    front: &'static str,
    listener: Option<Fd>,
    visits: Vec<Visit>,
}

/// A connection.
#[derive(Debug)]
struct Visit {
    stream: Stream,
    request: Vec<u8>,
    /// What is left of the answer, once there is one.
    answer: Option<Option<File>>,
    /// When it is closed, unless it goes on before.
    until: Instant,
}

impl HttpServer {
    /// On a port, once it runs. `front` is the page that `/` gives.
    #[must_use]
    pub fn new(port: u16, folder: Folder, front: &'static str) -> Self {
        Self { port, folder, front, listener: None, visits: Vec::new() }
    }

    /// The head of an answer, and the file that follows it.
    fn answer(&self, request: &str) -> (String, Option<File>) {
        let head = |status: &str, length: u64| {
            format!(
                "HTTP/1.0 {status}\r\nServer: wireproof\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            )
        };
        let mut words = request.split_ascii_whitespace();
        let page = |status: &str, text: &str| (head(status, text.len() as u64) + text, None);
        match (words.next(), words.next()) {
            (Some("GET" | "HEAD"), Some("/")) => page("200 OK", self.front),
            (Some("GET" | "HEAD"), Some(path)) => {
                let file = self.folder.read(path.trim_start_matches('/'));
                match file.and_then(|file| Ok((file.metadata()?.len(), file))) {
                    Ok((length, file)) => (head("200 OK", length), Some(file)),
                    Err(_) => page("404 Not Found", "not here\n"),
                }
            }
            (Some(_), Some(_)) => page("501 Not Implemented", "GET and HEAD alone\n"),
            _ => page("400 Bad Request", "this is no request\n"),
        }
    }

    /// Closes the connection whose time is over first, but for the newest.
    fn make_room(&mut self, stack: &mut Stack, now: Instant) {
        let older = self.visits.len().saturating_sub(1);
        let idle = (0..older).min_by_key(|at| (self.visits[*at].answer.is_some(), self.visits[*at].until));
        if let Some(at) = idle {
            self.visits.remove(at).stream.close(stack, now);
        }
    }

    /// Goes on with a connection. `false`: it is over.
    fn serve(&self, visit: &mut Visit, stack: &mut Stack, now: Instant) -> Result<bool, Errno> {
        let mut buffer = vec![0; CHUNK];
        while visit.answer.is_none() {
            match visit.stream.read(stack, now, &mut buffer)? {
                Came::Nothing => return Ok(true),
                Came::End => return Ok(false),
                Came::Bytes(count) => visit.request.extend_from_slice(&buffer[..count]),
            }
            let whole = visit.request.windows(4).any(|end| end == b"\r\n\r\n");
            if whole || visit.request.len() > REQUEST {
                let request = String::from_utf8_lossy(&visit.request);
                let (mut text, mut file) = self.answer(&request);
                if request.starts_with("HEAD ") {
                    // The same answer without its body (RFC 1945, section 8.2).
                    text.truncate(text.find("\r\n\r\n").map_or(text.len(), |end| end + 4));
                    file = None;
                }
                visit.stream.put(text.as_bytes());
                (visit.answer, visit.until) = (Some(file), now + TAKES);
            }
        }
        let waiting = visit.stream.left();
        while visit.stream.flush(stack, now)? {
            visit.until = now + TAKES;
            let Some(Some(file)) = &mut visit.answer else { return Ok(false) };
            match file.read(&mut buffer) {
                // What cannot be read any more ends the answer before its length.
                Ok(0) | Err(_) => return Ok(false),
                Ok(count) => visit.stream.put(&buffer[..count]),
            }
        }
        if visit.stream.left() < waiting {
            visit.until = now + TAKES;
        }
        Ok(true)
    }
}

impl App for HttpServer {
    fn go_on(&mut self, stack: &mut Stack, now: Instant) -> Option<CallResult> {
        let listener = match self.listener.map_or_else(|| listen(stack, self.port), Ok) {
            Ok(fd) => *self.listener.insert(fd),
            Err(errno) => return Some(Err(errno.name())),
        };
        while let Ok((fd, _)) = stack.accept(now, listener) {
            let (stream, until) = (Stream::new(fd), now + ASKS);
            self.visits.push(Visit { stream, request: Vec::new(), answer: None, until });
            if self.visits.len() > AT_ONCE {
                self.make_room(stack, now);
            }
        }
        let mut visits = std::mem::take(&mut self.visits);
        visits.retain_mut(|visit| {
            let goes_on = self.serve(visit, stack, now).unwrap_or(false) && visit.until > now;
            if !goes_on {
                visit.stream.close(stack, now);
            }
            goes_on
        });
        self.visits = visits;
        None
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.visits.iter().map(|visit| visit.until).min()
    }
}
