//! The list of tests in `README.md` is made from the comments above the tests:
//!
//! ```text
//! URING_README=write cargo test -p uring-sys-tests --test readme
//! ```

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Where the list begins; it goes on to the end of the page.
const HEAD: &str = "## The tests\n";

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What is between two texts, the first time.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("{start:?} is missing"));
    rest.split_once(end).unwrap_or_else(|| panic!("{end:?} is missing")).0
}

/// The subjects in the order in which the runner has them: the names of the files.
fn subjects(runner: &str) -> impl Iterator<Item = &str> {
    between(runner, "const SUBJECTS: &[&[Case]] = &[", "];")
        .split(',')
        .filter_map(|subject| subject.trim().strip_suffix("::CASES"))
}

/// The tests that a file declares, in order.
fn tests(source: &str) -> Vec<&str> {
    let lines = between(source, "cases![", "];").lines();
    lines.filter_map(|line| line.trim().split([':', ',', ' ']).next()).filter(is_name).collect()
}

fn is_name(word: &&str) -> bool {
    !word.is_empty()
        && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// The comment above a function, as one line.
fn comment(source: &str, function: &str) -> String {
    let (before, _) = source
        .split_once(&format!("\nfn {function}()"))
        .unwrap_or_else(|| panic!("{function} is declared and not there"));
    let lines: Vec<_> = before
        .lines()
        .rev()
        .skip_while(|line| line.starts_with("#["))
        .map_while(|line| line.strip_prefix("/// "))
        .collect();
    assert!(!lines.is_empty(), "{function} has no comment");
    // A bar would end the cell.
    lines.into_iter().rev().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// The list, from its heading to the end of the page.
fn list() -> String {
    let mut list = String::from(HEAD);
    for subject in subjects(&read("tests/contract/main.rs")) {
        let source = read(&format!("tests/contract/{subject}.rs"));
        let title = between(&source, "//! ", "\n").split([':', '.']).next().expect("a title");
        writeln!(list, "\n### {title} (`{subject}.rs`)\n").unwrap();
        list += "| Test | What the driver rests on it |\n| --- | --- |\n";
        for test in tests(&source) {
            writeln!(list, "| `{test}` | {} |", comment(&source, test)).unwrap();
        }
    }
    list
}

#[test]
fn the_readme_lists_every_test_with_the_comment_above_it() {
    let readme = read("README.md");
    let (head, listed) = readme.split_at(readme.find(HEAD).expect("the list's heading"));
    let list = list();
    if listed == list {
        return;
    }
    if env::var_os("URING_README").is_some_and(|wish| wish == "write") {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        return fs::write(path, format!("{head}{list}")).expect("the page is written");
    }
    let difference = list.lines().zip(listed.lines()).find(|(made, listed)| made != listed);
    panic!(
        "README.md differs from the comments: {difference:?}. `URING_README=write cargo test -p \
         uring-sys-tests --test readme` writes it anew"
    );
}
