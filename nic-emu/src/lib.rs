//! An Intel 82576 gigabit controller, register by register.
