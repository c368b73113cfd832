//! An HTTP/1.0 client (RFC 1945) that downloads a page into a file.

use super::App;
use super::stream::{CHUNK, Came, Stream};
use crate::case::model::HttpGet;
use crate::rig::{CallResult, Returned};
use stack_under_test::errno::Errno;
use stack_under_test::stack::Stack;
use stack_under_test::time::{Duration, Instant};
use std::fs::File;
use std::io::Write;

/// How long after a refused connection it tries again: a server of the peer needs its time to start.
const AGAIN: Duration = Duration::from_millis(50);
/// How often it does.
const ATTEMPTS: u32 = 200;
/// The longest head of an answer.
const HEAD: usize = 16 << 10;

/// A download.
#[derive(Debug)]
pub struct HttpClient {
    get: HttpGet,
    file: File,
    stream: Option<Stream>,
    /// When it connects again, and how often it may.
    again: Option<Instant>,
    attempts: u32,
    asked: bool,
    /// The head of the answer, until it is whole.
    head: Vec<u8>,
    /// How long the body is to be, once the head is whole; `None`: until the connection ends.
    length: Option<Option<u64>>,
    received: u64,
}

impl HttpClient {
    /// Of a page, into a file.
    #[must_use]
    pub fn new(get: HttpGet, file: File) -> Self {
        Self {
            get,
            file,
            stream: None,
            again: None,
            attempts: ATTEMPTS,
            asked: false,
            head: Vec::new(),
            length: None,
            received: 0,
        }
    }

    /// Connects, asks, and takes what comes. `false`: there is more to come.
    fn step(&mut self, stack: &mut Stack, now: Instant) -> Result<bool, String> {
        if self.again.is_some_and(|at| at > now) {
            return Ok(false);
        }
        self.again = None;
        match self.connection(stack, now) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(Errno::ECONNREFUSED) if self.attempts > 0 => {
                self.attempts -= 1;
                self.again = Some(now + AGAIN);
                if let Some(stream) = self.stream.take() {
                    stream.close(stack, now);
                }
                return Ok(false);
            }
            Err(errno) => return Err(errno.name()),
        }
        self.take(stack, now)
    }

    /// Whether the connection is there, and the request sent.
    fn connection(&mut self, stack: &mut Stack, now: Instant) -> Result<bool, Errno> {
        if self.stream.is_none() {
            let fd = stack.socket_tcp()?;
            self.stream = Some(Stream::new(fd));
        }
        let Some(stream) = &mut self.stream else { return Ok(false) };
        if !self.asked {
            match stack.tcp_connect(now, 0, stream.fd, self.get.server) {
                Ok(()) | Err(Errno::EISCONN) => {}
                Err(Errno::EINPROGRESS | Errno::EALREADY) => return Ok(false),
                Err(errno) => return Err(errno),
            }
            let HttpGet { server, path, .. } = &self.get;
            stream.put(format!("GET {path} HTTP/1.0\r\nHost: {server}\r\n\r\n").as_bytes());
            self.asked = true;
        }
        stream.flush(stack, now)
    }

    /// Reads all that is there.
    fn take(&mut self, stack: &mut Stack, now: Instant) -> Result<bool, String> {
        let mut buffer = vec![0; CHUNK];
        loop {
            let Some(stream) = &mut self.stream else { return Ok(false) };
            match stream.read(stack, now, &mut buffer).map_err(|errno| errno.name())? {
                Came::Nothing => return Ok(false),
                Came::End => return self.end(),
                Came::Bytes(count) => self.came(&buffer[..count])?,
            }
        }
    }

    fn came(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.length.is_some() {
            return self.save(bytes);
        }
        self.head.extend_from_slice(bytes);
        let Some(end) = self.head.windows(4).position(|end| end == b"\r\n\r\n") else {
            return if self.head.len() > HEAD {
                Err("the head of the answer has no end".to_owned())
            } else {
                Ok(())
            };
        };
        let body = self.head.split_off(end + 4);
        let head = String::from_utf8_lossy(&self.head).into_owned();
        let status = head.split_ascii_whitespace().nth(1).unwrap_or("no status");
        if status != "200" {
            return Err(format!("HTTP {status}"));
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        self.length = Some(length);
        self.save(&body)
    }

    fn save(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.received += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|e| e.to_string())
    }

    /// The connection is at its end: was it the whole page?
    fn end(&self) -> Result<bool, String> {
        match self.length {
            None => Err("the answer has no head".to_owned()),
            Some(Some(length)) if length != self.received => {
                Err(format!("{} of {length} bytes came", self.received))
            }
            Some(_) => Ok(true),
        }
    }
}

impl App for HttpClient {
    fn go_on(&mut self, stack: &mut Stack, now: Instant) -> Option<CallResult> {
        let result = match self.step(stack, now) {
            Ok(false) => return None,
            Ok(true) => {
                let value = i64::try_from(self.received).unwrap_or(i64::MAX);
                Ok(Returned { value, ..Returned::default() })
            }
            Err(why) => Err(why),
        };
        if let Some(stream) = self.stream.take() {
            stream.close(stack, now);
        }
        Some(result)
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.again
    }
}
