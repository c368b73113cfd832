//! A rig around another, which sees what goes through and changes nothing: all of [`Rig`] is passed on here, and nowhere else.

use super::{
    CallId, CommandResult, Event, FaultCount, Finished, Journey, Port, Readings, Reset, Rig, RigError,
};
use crate::case::model::{Application, Command, Nanos, PeerRun, RigKind, Source, Syscall};

/// What sees what goes through a rig. It is that rig for whoever uses it.
pub trait Around {
    /// The rig that does it.
    fn inner(&self) -> &dyn Rig;

    /// The rig that does it.
    fn inner_mut(&mut self) -> &mut dyn Rig;

    /// A call is started next.
    fn before_start(&mut self, _call: CallId) {}

    /// A command runs next.
    fn before_command(&mut self, _command: &Command) {}

    /// A command, or a write to sysfs, has ended.
    fn after_command(&mut self, _result: &CommandResult) {}

    /// A frame is injected next, with a wrong frame check sequence or not.
    fn before_inject(&mut self, _is_damaged: bool) {}

    /// The cable is pulled or put back next.
    fn before_link(&mut self) {}

    /// Something happened.
    fn after_event(&mut self, _event: &Event) {}

    /// A source was read.
    fn after_read(&mut self, _source: &Source, _readings: &Readings) {}

    /// The trial ends; it may be told so again.
    fn before_finish(&mut self) {}
}

impl<A: Around> Rig for A {
    fn kind(&self) -> RigKind {
        self.inner().kind()
    }

    fn version(&self, of: &str) -> Option<String> {
        self.inner().version(of)
    }

    fn is_virtual(&self) -> bool {
        self.inner().is_virtual()
    }

    fn now(&self) -> Nanos {
        self.inner().now()
    }

    fn start(&mut self, call: CallId, cpu: Option<u32>, syscall: &Syscall) -> Result<(), RigError> {
        self.before_start(call);
        self.inner_mut().start(call, cpu, syscall)
    }

    fn application(&mut self, call: CallId, application: &Application) -> Result<(), RigError> {
        self.before_start(call);
        self.inner_mut().application(call, application)
    }

    fn peer_run(&mut self, call: CallId, run: &PeerRun) -> Result<(), RigError> {
        self.before_start(call);
        self.inner_mut().peer_run(call, run)
    }

    fn command(&mut self, command: &Command) -> Result<CommandResult, RigError> {
        self.before_command(command);
        let result = self.inner_mut().command(command)?;
        self.after_command(&result);
        Ok(result)
    }

    fn sysfs(&mut self, path: &str, value: &str) -> Result<CommandResult, RigError> {
        let result = self.inner_mut().sysfs(path, value)?;
        self.after_command(&result);
        Ok(result)
    }

    fn inject(&mut self, frame: &[u8]) -> Result<(), RigError> {
        self.before_inject(false);
        self.inner_mut().inject(frame)
    }

    fn inject_damaged(&mut self, frame: &[u8]) -> Result<(), RigError> {
        self.before_inject(true);
        self.inner_mut().inject_damaged(frame)
    }

    fn last_lateness(&self) -> Nanos {
        self.inner().last_lateness()
    }

    fn set_link(&mut self, up: bool) -> Result<(), RigError> {
        self.before_link();
        self.inner_mut().set_link(up)
    }

    fn advance(&mut self, until: Nanos) -> Result<Option<Event>, RigError> {
        let event = self.inner_mut().advance(until)?;
        if let Some(event) = &event {
            self.after_event(event);
        }
        Ok(event)
    }

    fn read(&mut self, source: &Source) -> Result<Readings, RigError> {
        let readings = self.inner_mut().read(source)?;
        self.after_read(source, &readings);
        Ok(readings)
    }

    fn port(&mut self) -> Option<Port> {
        self.inner_mut().port()
    }

    fn resets(&self) -> &[Reset] {
        self.inner().resets()
    }

    fn fault_counts(&self) -> Vec<FaultCount> {
        self.inner().fault_counts()
    }

    fn hears(&self) -> bool {
        self.inner().hears()
    }

    fn journey(&mut self) -> Option<&Journey> {
        self.inner_mut().journey()
    }

    fn finish(&mut self) -> Finished {
        self.before_finish();
        self.inner_mut().finish()
    }
}
