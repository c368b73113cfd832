//! An echo server (RFC 862) over TCP: what comes goes back.

use super::App;
use super::stream::{CHUNK, Came, Stream, listen};
use crate::rig::CallResult;
use stack_under_test::errno::Errno;
use stack_under_test::socket::Fd;
use stack_under_test::stack::Stack;
use stack_under_test::time::Instant;

/// Connections at once; for one more, the oldest is closed.
const AT_ONCE: usize = 256;

/// The server with its connections.
#[derive(Debug)]
pub struct Echo {
    port: u16,
    listener: Option<Fd>,
    streams: Vec<Stream>,
}

impl Echo {
    /// On a port, once it runs.
    #[must_use]
    pub fn new(port: u16) -> Self {
        Self { port, listener: None, streams: Vec::new() }
    }
}

impl App for Echo {
    fn go_on(&mut self, stack: &mut Stack, now: Instant) -> Option<CallResult> {
        let listener = match self.listener.map_or_else(|| listen(stack, self.port), Ok) {
            Ok(fd) => *self.listener.insert(fd),
            Err(errno) => return Some(Err(errno.name())),
        };
        while let Ok((fd, _)) = stack.accept(now, listener) {
            if self.streams.len() == AT_ONCE {
                // Whoever came first has had its time.
                self.streams.remove(0).close(stack, now);
            }
            self.streams.push(Stream::new(fd));
        }
        self.streams.retain_mut(|stream| {
            let goes_on = back(stream, stack, now).unwrap_or(false);
            if !goes_on {
                stream.close(stack, now);
            }
            goes_on
        });
        None
    }
}

/// Sends back what comes. `false`: all of it is sent.
fn back(stream: &mut Stream, stack: &mut Stack, now: Instant) -> Result<bool, Errno> {
    let mut buffer = vec![0; CHUNK];
    while stream.flush(stack, now)? {
        match stream.read(stack, now, &mut buffer)? {
            Came::Bytes(count) => stream.put(&buffer[..count]),
            Came::Nothing => return Ok(true),
            Came::End => return Ok(false),
        }
    }
    Ok(true)
}
