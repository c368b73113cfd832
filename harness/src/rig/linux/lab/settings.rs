//! Files of the kernel that hold settings: read all at once, and written back where they differ.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Paths with what is in them.
pub type Values = BTreeMap<String, String>;

/// Files that are no settings: writing them does something, or they move by themselves.
const MOVING: [&str; 4] = ["flush", "limit", "inflight", "tcp_fastopen_key"];

/// Every file below a folder that can be read and written, with its text. Folders that are links are not followed. A folder
/// that is not there is empty.
#[must_use]
pub fn read(folder: &str) -> Values {
    let mut values = Values::new();
    collect(Path::new(folder), &mut values);
    values
}

/// The files of `known` as they are now, those that are gone left out.
#[must_use]
pub fn read_again(known: &Values) -> Values {
    // More than nearly all of them have: one read each.
    let mut room = [0; 4096];
    known.keys().filter_map(|path| Some((path.clone(), text(path, &mut room)?))).collect()
}

fn text(path: &str, room: &mut [u8]) -> Option<String> {
    let count = std::fs::File::open(path).and_then(|mut file| file.read(room)).ok()?;
    let text = match room.get(..count).filter(|_| count < room.len()) {
        Some(all) => std::str::from_utf8(all).ok()?.trim_end().to_owned(),
        None => std::fs::read_to_string(path).ok()?.trim_end().to_owned(),
    };
    Some(text)
}

fn collect(folder: &Path, values: &mut Values) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        let path = entry.path();
        if kind.is_dir() {
            collect(&path, values);
            continue;
        }
        let name = entry.file_name();
        if !kind.is_file() || MOVING.iter().any(|moving| name == *moving) {
            continue;
        }
        let both = entry.metadata().is_ok_and(|about| about.permissions().mode() & 0o600 == 0o600);
        if let (true, Ok(text)) = (both, std::fs::read_to_string(&path)) {
            values.insert(path.display().to_string(), text.trim_end().to_owned());
        }
    }
}

/// Writes back what differs between `want` and `is`; some settings set others, so that it takes several rounds. Gives what
/// could not be made equal, as lines for people.
#[must_use]
pub fn write_back(want: &Values, mut is: Values) -> Vec<String> {
    for _ in 0..3 {
        let changed = different(want, &is);
        if changed.is_empty() {
            return Vec::new();
        }
        for path in changed {
            let _ = std::fs::write(path, &want[path]);
        }
        // What a write changed besides is found here.
        for path in want.keys() {
            if let Ok(now) = std::fs::read_to_string(path) {
                is.insert(path.clone(), now.trim_end().to_owned());
            }
        }
    }
    let line = |path: &String| format!("{path} is `{}`, was `{}`", is[path].trim(), want[path].trim());
    different(want, &is).into_iter().map(line).collect()
}

/// Files that are in both and differ. One that is not there any more belonged to a device that is gone.
fn different<'w>(want: &'w Values, is: &Values) -> Vec<&'w String> {
    want.iter().filter(|(path, text)| is.get(*path).is_some_and(|now| now != *text)).map(|(p, _)| p).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_written_back_and_what_cannot_be_is_told() {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let path = folder.path().join("conf");
        std::fs::create_dir(&path).expect("a folder");
        let file = path.join("rp_filter");
        std::fs::write(&file, "0\n").expect("a file");
        let root = folder.path().display().to_string();
        let before = read(&root);
        assert_eq!(before.len(), 1);
        assert_eq!(read_again(&before), before);
        std::fs::write(&file, "1\n").expect("a file");
        assert_eq!(read_again(&before), read(&root));
        assert!(write_back(&before, read(&root)).is_empty());
        assert_eq!(std::fs::read_to_string(&file).expect("a file"), "0");
        std::fs::write(&file, "1\n").expect("a file");
        let is = read(&root);
        std::fs::remove_file(&file).and_then(|()| std::fs::create_dir(&file)).expect("a folder in its place");
        let left = write_back(&before, is);
        assert!(left.len() == 1 && left[0].ends_with("rp_filter is `1`, was `0`"), "{left:?}");
    }
}
