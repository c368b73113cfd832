//! The smallest server: our stack on the emulated NIC answers HTTP and echo, and the Linux kernel of this machine is at the other end of
//! the cable.
//!
//! ```text
//! cargo run --release --example server                  # in a network namespace; prints the commands to type
//! sudo cargo run --release --example server -- --tap NAME   # on a TAP of yours
//! ```

use clap::Parser;
use harness::case::model::{Application, Nanos, topology};
use harness::cli::stop;
use harness::rig::linux::peer::KernelPeer;
use harness::rig::linux::rights;
use harness::rig::peer::PeerRig;
use harness::rig::{Event, Rig, RigError};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

/// How often it looks whether it is to stop.
const SLICE: Nanos = 200_000_000;

/// A web and echo server on our own stack.
#[derive(Parser)]
struct Arguments {
    /// The TAP at the other end of the cable; without it, one in a network namespace of its own.
    #[arg(long)]
    tap: Option<String>,
    /// The port of the web server.
    #[arg(long, default_value_t = 80)]
    http: u16,
    /// The port of the echo server.
    #[arg(long, default_value_t = 7)]
    echo: u16,
    /// Ends after so many seconds; without it, with Ctrl-C.
    #[arg(long)]
    seconds: Option<u32>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.tap.is_none() {
        // While there is one thread; why it cannot is told below.
        let _ = rights::enter();
    }
    let stopped = stop::on_signal();
    match serve(&arguments, stopped) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "server: {error}\n`wireproof doctor --rig linux` says what is needed and how to get it"
            );
            ExitCode::FAILURE
        }
    }
}

/// Answers until it is stopped; then namespace and TAP are gone.
fn serve(arguments: &Arguments, stopped: &AtomicBool) -> Result<(), RigError> {
    let kernel = match &arguments.tap {
        Some(tap) => KernelPeer::on_a_tap(tap)?,
        None => KernelPeer::new()?,
    };
    let mut rig = PeerRig::with(kernel)?;
    rig.application(1, &Application::HttpServer { port: arguments.http })?;
    rig.echo(2, arguments.echo);
    tell(arguments, &rig);
    let end = arguments.seconds.map_or(Nanos::MAX, |seconds| Nanos::from(seconds) * 1_000_000_000);
    while !stopped.load(Ordering::Relaxed) && rig.now() < end {
        let until = rig.now().saturating_add(SLICE).min(end);
        while let Some(event) = rig.advance(until)? {
            if let Event::Returned { result: Err(why), .. } = event {
                return Err(RigError::Broken(why));
            }
        }
    }
    match rig.finish().violations.first() {
        Some(violation) => Err(RigError::Broken(violation.clone())),
        None => Ok(()),
    }
}

/// The commands to type.
fn tell(arguments: &Arguments, rig: &PeerRig) {
    let address = topology::SUT_IP;
    let inside = match &arguments.tap {
        Some(tap) => {
            println!("give the other end an address, once:");
            println!("  sudo ip addr add {}/24 dev {tap} && sudo ip link set {tap} up", topology::PEER_IP);
            String::new()
        }
        None => rig.kernel().way_in(),
    };
    println!("in another shell:");
    println!("  {inside}curl http://{address}:{}/", arguments.http);
    println!("  {inside}nc {address} {}", arguments.echo);
    println!("Ctrl-C ends it.");
}
