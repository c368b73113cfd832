//! What a tool prints of a command that the stack refused.

use crate::call::CommandResult;
use alloc::format;
use alloc::string::String;
use stack_under_test::control::Refusal;

/// The result of a command that was not understood.
#[must_use]
pub fn refused(message: String) -> CommandResult {
    CommandResult { status: 1, output: message }
}

/// What the tool would print. `ip` and `tc` print the text of the extended acknowledgement, or without one that of the error
/// number; what they find out by themselves stands alone.
#[must_use]
pub fn printed(words: &[&str], refusal: &Refusal) -> String {
    let message = &refusal.message;
    match words.first() {
        Some(&"ip" | &"tc") if message == refusal.errno.strerror() => format!("RTNETLINK answers: {message}"),
        Some(&"ip" | &"tc") if !message.starts_with("Cannot find device") => format!("Error: {message}"),
        _ => message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use rstest::rstest;
    use stack_under_test::errno::Errno;

    /// As iproute2 6.1 prints them.
    #[rstest]
    #[case::an_error_number("ip route", Errno::EEXIST, "File exists", "RTNETLINK answers: File exists")]
    #[case::an_acknowledgement("ip route", Errno::EINVAL, "Invalid scope.", "Error: Invalid scope.")]
    #[case::a_device("ip link", Errno::ENODEV, "Cannot find device \"e\"", "Cannot find device \"e\"")]
    #[case::of_a_queue("tc qdisc", Errno::ENOENT, "Qdisc not found.", "Error: Qdisc not found.")]
    #[case::of_another_tool("nft add", Errno::ENOENT, "No such file", "No such file")]
    fn a_refusal_is_printed_as_the_tool_does(
        #[case] words: &str,
        #[case] errno: Errno,
        #[case] message: &str,
        #[case] expected: &str,
    ) {
        let words: Vec<&str> = words.split(' ').collect();
        assert_eq!(printed(&words, &Refusal::new(errno, message)), expected);
    }
}
