//! Executing a trial, step by step, on a rig.
