//! `cat`, beside that of coreutils: with each kind of standard input and output.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use crate::common::program::{Program, example};

/// The files of a test, removed at its end.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("annulus-cat-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn with(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn bytes(count: u32) -> Vec<u8> {
    (0..count).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// The two ends of a terminal without echo and without conversions.
fn terminal() -> (File, File) {
    let (mut master, mut slave) = (-1, -1);
    // SAFETY: the calls write two descriptors, and read and write one local value.
    unsafe {
        let none = std::ptr::null_mut();
        assert_eq!(libc::openpty(&mut master, &mut slave, none, none.cast(), none.cast()), 0);
        let mut mode: libc::termios = std::mem::zeroed();
        libc::tcgetattr(slave, &mut mode);
        libc::cfmakeraw(&mut mode);
        mode.c_lflag |= libc::ICANON;
        libc::tcsetattr(slave, libc::TCSANOW, &mode);
        (File::from_raw_fd(master), File::from_raw_fd(slave))
    }
}

fn is_blocking(file: &File) -> bool {
    // SAFETY: the call takes no pointers.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) & libc::O_NONBLOCK == 0 }
}

/// Writes to a descriptor on a thread.
fn feed(mut to: impl Write + Send + 'static, content: Vec<u8>) {
    thread::spawn(move || to.write_all(&content));
}

#[test]
fn files_and_the_standard_input_are_written_as_by_coreutils() {
    let files = Files::new("files");
    let large = files.with("large", &bytes(1_000_000));
    let empty = files.with("empty", b"");
    let small = files.with("small", b"without a newline");
    let arguments = [large.as_os_str(), empty.as_os_str(), "-".as_ref(), small.as_os_str()];
    let mut outputs = Vec::new();
    for mut command in [example("cat"), Command::new("cat")] {
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        feed(child.stdin.take().unwrap(), bytes(300_000));
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        outputs.push(output.stdout);
    }
    assert_eq!(outputs[0].len(), 1_300_017);
    assert!(outputs[0] == outputs[1]);
}

#[test]
fn every_kind_of_standard_input_is_read_to_its_end() {
    let files = Files::new("inputs");
    let content = bytes(200_000);
    let read = |input: Stdio| {
        let output = example("cat").stdin(input).stdout(Stdio::piped()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    assert!(read(File::open(files.with("file", &content)).unwrap().into()) == content);
    assert!(read(File::open("/dev/null").unwrap().into()).is_empty());
    let (near, far) = UnixStream::pair().unwrap();
    feed(far, content.clone());
    assert!(read(OwnedFd::from(near).into()) == content);
    // The file is read from its position.
    let mut file = File::open(files.0.join("file")).unwrap();
    file.seek(SeekFrom::Start(150_000)).unwrap();
    assert!(read(file.into()) == content[150_000..]);
}

#[test]
fn a_terminal_is_read_line_by_line_and_stays_blocking() {
    let (mut master, slave) = terminal();
    let mut command = example("cat");
    command.stdin(slave.try_clone().unwrap()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    for line in ["one\n", "two\n"] {
        master.write_all(line.as_bytes()).unwrap();
        let mut echo = [0; 4];
        output.read_exact(&mut echo).unwrap();
        assert_eq!(str::from_utf8(&echo), Ok(line));
        assert!(is_blocking(&slave), "the shell shares it");
    }
    // The end of the file, as ctrl-d makes it.
    master.write_all(&[4]).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(is_blocking(&slave));
}

#[test]
fn every_kind_of_standard_output_takes_all() {
    let files = Files::new("outputs");
    let content: Vec<u8> = bytes(100_000).iter().map(|byte| b'a' + byte % 26).collect();
    let path = files.with("input", &content);
    let write = |output: Stdio| {
        let child = example("cat").arg(&path).stdout(output).spawn();
        child.unwrap()
    };
    let into = files.0.join("output");
    assert!(write(File::create(&into).unwrap().into()).wait().unwrap().success());
    assert!(fs::read(&into).unwrap() == content);
    let mut appended = File::options().append(true).open(&into).unwrap();
    appended.write_all(b"...").unwrap();
    assert!(write(appended.into()).wait().unwrap().success());
    assert!(fs::read(&into).unwrap() == [&content[..], b"...", &content].concat());
    assert!(write(File::create("/dev/null").unwrap().into()).wait().unwrap().success());

    let (near, mut far) = UnixStream::pair().unwrap();
    let mut child = write(OwnedFd::from(near).into());
    let mut all = Vec::new();
    far.read_to_end(&mut all).unwrap();
    assert!(all == content && child.wait().unwrap().success());

    let (mut master, slave) = terminal();
    let mut child = write(slave.try_clone().unwrap().into());
    let mut all = vec![0; content.len()];
    master.read_exact(&mut all).unwrap();
    assert!(all == content && child.wait().unwrap().success() && is_blocking(&slave));
}

#[test]
fn a_reader_that_has_seen_enough_ends_cat_quietly() {
    let mut cat = example("cat");
    cat.stdin(File::open("/dev/zero").unwrap()).stdout(Stdio::piped());
    let mut child = cat.stderr(Stdio::piped()).spawn().unwrap();
    let mut start = [1; 100_000];
    child.stdout.take().unwrap().read_exact(&mut start).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn cat_says_what_it_cannot_read_and_goes_on() {
    let files = Files::new("errors");
    let there = files.with("there", b"there\n");
    let ended = Program::start(example("cat").arg("/nonexistent").arg("/").arg(there)).ended();
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(ended.stdout, ["there"]);
    let [missing, directory] = ended.stderr.as_slice() else { panic!("{ended:?}") };
    assert!(missing.starts_with("cat: /nonexistent: ") && missing.contains("os error 2"));
    assert!(directory.starts_with("cat: /: ") && directory.contains("os error 21"));
}
