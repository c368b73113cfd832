//! Programs of an administrator, as the lab itself uses them: what they print, or why not.

use super::super::command;
use serde_json::Value;

/// Runs a program in the namespaces of the calling thread and gives what it printed.
///
/// # Errors
/// What it printed when it failed, with the command.
pub fn output(words: &[&str]) -> Result<String, String> {
    let owned: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
    let result = command::run_own(&owned).map_err(|e| e.to_string())?;
    if result.status == 0 {
        return Ok(result.output);
    }
    Err(format!("`{}`: {}", words.join(" "), result.output.trim()))
}

/// Runs a program for its effect; `None`: it did as told.
pub fn fails(words: &[&str]) -> Option<String> {
    output(words).err()
}

/// Runs a program that prints JSON.
///
/// # Errors
/// As [`output`]; or that it is no JSON.
pub fn json(words: &[&str]) -> Result<Value, String> {
    let text = output(words)?;
    if text.trim().is_empty() {
        return Ok(Value::Array(Vec::new()));
    }
    serde_json::from_str(&text).map_err(|e| format!("`{}`: {e}", words.join(" ")))
}

/// The items of an array; of anything else none.
pub fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
