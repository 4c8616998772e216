//! The contenders that are asked for by name.

use std::io;

use crate::contenders::{self, Contender};
use crate::results::RINGS;

/// The contenders of these names, in the order of the tables; those with a size in their name
/// behind the one without.
pub(crate) fn chosen(names: &[String]) -> io::Result<Vec<Box<dyn Contender>>> {
    let all = contenders::all();
    if names.is_empty() {
        return Ok(all);
    }
    let is_known = |name: &str| name == RINGS || contenders::by_name(name).is_some();
    if let Some(name) = names.iter().find(|name| !is_known(name)) {
        return Err(unknown(name));
    }
    let mut chosen = Vec::new();
    for one in all {
        let prefix = format!("{}@", one.name());
        let sized = names.iter().filter(|name| name.starts_with(&prefix));
        let sized: Vec<_> = sized.filter_map(|name| contenders::by_name(name)).collect();
        if names.iter().any(|name| is_meant(name, one.name())) {
            chosen.push(one);
        }
        chosen.extend(sized);
    }
    Ok(chosen)
}

/// A contender is meant by its own name; the hand-written rings are a family, and have a name
/// together.
fn is_meant(asked: &str, name: &str) -> bool {
    asked == name || (asked == RINGS && name.starts_with("raw-uring-"))
}

pub(crate) fn unknown(name: &str) -> io::Error {
    let plain = name.split('@').next().unwrap_or(name);
    let text = if contenders::left_out().contains(&plain) {
        format!("{plain} was left out when this program was built; it is a feature of its name")
    } else if contenders::by_name(plain).is_some() && plain != name {
        format!("{plain} has no buffer for each connection, or {name} does not end in a size")
    } else {
        format!("there is no contender called {name}; `list` names them all")
    };
    io::Error::new(io::ErrorKind::NotFound, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_hand_written_rings_means_all_of_them_and_no_other_name_does() {
        assert!(is_meant("raw-uring", "raw-uring-4k"));
        assert!(is_meant("tokio", "tokio"));
        assert!(!is_meant("tokio", "tokio-uring"));
    }

    #[test]
    fn contenders_may_be_asked_for_with_the_size_of_their_buffers() {
        let names = |asked: &[&str]| {
            let asked: Vec<_> = asked.iter().map(|&name| name.to_owned()).collect();
            chosen(&asked).map(|chosen| chosen.iter().map(|one| one.name()).collect::<Vec<_>>())
        };
        let asked = ["raw-threads@64k", "annulus", "raw-threads"];
        assert_eq!(names(&asked).unwrap(), ["annulus", "raw-threads", "raw-threads@64k"]);
        for (wrong, why) in [
            ("annulus@64k", "annulus has no buffer for each connection"),
            ("raw-threads@much", "does not end in a size"),
            ("unknown", "there is no contender called unknown"),
        ] {
            let error = names(&[wrong]).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
