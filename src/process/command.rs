//! How a child is started.

use std::ffi::OsStr;
use std::fmt;
use std::future::Future;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, CommandArgs, CommandEnvs, ExitStatus, Output, Stdio};

use super::child::Child;
use crate::error::Describe;
use crate::runtime::context;

/// Builds and starts a child process.
///
/// The methods are those of [`std::process::Command`] and its [`CommandExt`], and mean the same.
/// What needs `unsafe` ([`pre_exec`](std::os::unix::process::CommandExt::pre_exec)) is reached by
/// [`as_std_mut`](Self::as_std_mut).
///
/// In the child SIGPIPE has its default effect and no signal is blocked, as the standard library
/// has it.
///
/// # Example
///
/// ```
/// use annulus::process::Command;
/// use std::process::Stdio;
///
/// annulus::run(async {
///     let mut child = Command::new("tr")
///         .args(["a-z", "A-Z"])
///         .stdin(Stdio::piped())
///         .stdout(Stdio::piped())
///         .spawn()?;
///     let output = child.communicate("hello").await?;
///     assert_eq!(output.stdout, b"HELLO");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "asyncio.create_subprocess_exec")]
#[doc(alias = "asyncio.create_subprocess_shell")]
pub struct Command {
    std: process::Command,
    kill_on_drop: bool,
    /// Which of the streams were set, as [`output`](Self::output) has other defaults.
    is_set: [bool; 3],
}

impl Command {
    /// A command that starts `program`, which is searched for in `PATH` if it has no slash.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        process::Command::new(program).into()
    }

    /// Adds an argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.std.arg(arg);
        self
    }

    /// Adds several arguments.
    pub fn args(&mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> &mut Self {
        self.std.args(args);
        self
    }

    /// Sets what the program sees as its own name, argument zero.
    pub fn arg0(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.std.arg0(arg);
        self
    }

    /// Sets a variable of the environment.
    pub fn env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.std.env(key, value);
        self
    }

    /// Sets several variables of the environment.
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        &mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> &mut Self {
        self.std.envs(variables);
        self
    }

    /// Removes a variable of the environment.
    pub fn env_remove(&mut self, key: impl AsRef<OsStr>) -> &mut Self {
        self.std.env_remove(key);
        self
    }

    /// Has the child inherit no variable of the environment.
    pub fn env_clear(&mut self) -> &mut Self {
        self.std.env_clear();
        self
    }

    /// Sets the directory in which the child begins.
    pub fn current_dir(&mut self, directory: impl AsRef<Path>) -> &mut Self {
        self.std.current_dir(directory);
        self
    }

    /// Sets the user of the child. See the [module](super) on what that costs.
    pub fn uid(&mut self, id: u32) -> &mut Self {
        self.std.uid(id);
        self
    }

    /// Sets the group of the child. See the [module](super) on what that costs.
    pub fn gid(&mut self, id: u32) -> &mut Self {
        self.std.gid(id);
        self
    }

    /// Sets the process group of the child; 0 for one of its own, which ctrl-c does not reach.
    pub fn process_group(&mut self, group: i32) -> &mut Self {
        self.std.process_group(group);
        self
    }

    /// Sets the child's standard input. It is inherited by default, and empty for
    /// [`output`](Self::output).
    pub fn stdin(&mut self, stdin: impl Into<Stdio>) -> &mut Self {
        self.is_set[0] = true;
        self.std.stdin(stdin);
        self
    }

    /// Sets the child's standard output. It is inherited by default, and collected by
    /// [`output`](Self::output).
    pub fn stdout(&mut self, stdout: impl Into<Stdio>) -> &mut Self {
        self.is_set[1] = true;
        self.std.stdout(stdout);
        self
    }

    /// Sets the child's standard error. It is inherited by default, and collected by
    /// [`output`](Self::output).
    pub fn stderr(&mut self, stderr: impl Into<Stdio>) -> &mut Self {
        self.is_set[2] = true;
        self.std.stderr(stderr);
        self
    }

    /// Sets whether a [`Child`] that is dropped before its end was seen is killed (by SIGKILL). Off
    /// by default: it continues.
    ///
    /// A process that ends by [`std::process::exit`] or a signal drops nothing.
    pub fn kill_on_drop(&mut self, kill: bool) -> &mut Self {
        self.kill_on_drop = kill;
        self
    }

    /// Whether a [`Child`] that is dropped is [killed](Self::kill_on_drop).
    pub fn get_kill_on_drop(&self) -> bool {
        self.kill_on_drop
    }

    /// The program.
    pub fn get_program(&self) -> &OsStr {
        self.std.get_program()
    }

    /// The arguments, without argument zero.
    pub fn get_args(&self) -> CommandArgs<'_> {
        self.std.get_args()
    }

    /// The variables of the environment that were set, or removed.
    pub fn get_envs(&self) -> CommandEnvs<'_> {
        self.std.get_envs()
    }

    /// The directory in which the child begins, if it was set.
    pub fn get_current_dir(&self) -> Option<&Path> {
        self.std.get_current_dir()
    }

    /// The command of the standard library.
    pub fn as_std(&self) -> &process::Command {
        &self.std
    }

    /// The command of the standard library. Streams that are set by it count as not set for
    /// [`output`](Self::output).
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn limit_memory() -> std::io::Result<()> { Ok(()) }
    /// use std::os::unix::process::CommandExt;
    ///
    /// let mut command = annulus::process::Command::new("worker");
    /// // SAFETY: the closure only makes a system call.
    /// unsafe { command.as_std_mut().pre_exec(limit_memory) };
    /// ```
    #[doc(alias = "pre_exec")]
    pub fn as_std_mut(&mut self) -> &mut process::Command {
        &mut self.std
    }

    /// Returns the command of the standard library.
    pub fn into_std(self) -> process::Command {
        self.std
    }

    /// Starts the child. It inherits the streams that were not set.
    ///
    /// This is a call that takes about 0.1 ms; see the [module](super) on when it takes more.
    ///
    /// # Errors
    ///
    /// If the program cannot be run (`NotFound`, `PermissionDenied`), and if the process is out of
    /// descriptors, memory or processes.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[track_caller]
    pub fn spawn(&mut self) -> io::Result<Child> {
        // Before the child is there: this panics without a runtime.
        let driver = context::driver();
        let child = self.std.spawn();
        let child = child.describe(format_args!("spawn {:?}", self.std.get_program()))?;
        Child::started(driver, child, self.kill_on_drop)
    }

    /// Starts the child and waits until it has ended. It inherits the streams that were not set;
    /// pipes are closed at once.
    ///
    /// # Errors
    ///
    /// As for [`spawn`](Self::spawn) and [`Child::wait`].
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// The child is started by the call. Dropped, the child continues, or is killed with
    /// [`kill_on_drop`](Self::kill_on_drop).
    #[track_caller]
    pub fn status(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + use<> {
        let child = self.spawn();
        async move {
            let mut child = child?;
            drop((child.stdin.take(), child.stdout.take(), child.stderr.take()));
            child.wait().await
        }
    }

    /// Starts the child, collects what it writes, and waits until it has ended.
    ///
    /// Collected are its standard output and standard error. Its standard input is empty, unless it
    /// was set.
    ///
    /// # Errors
    ///
    /// As for [`spawn`](Self::spawn) and [`Child::wait_with_output`].
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// As for [`status`](Self::status). What was read is lost.
    #[track_caller]
    pub fn output(&mut self) -> impl Future<Output = io::Result<Output>> + use<> {
        let [stdin, stdout, stderr] = self.is_set;
        // A stream that is not set is inherited, also by what this starts later.
        if !stdin {
            self.std.stdin(Stdio::null());
        }
        if !stdout {
            self.std.stdout(Stdio::piped());
        }
        if !stderr {
            self.std.stderr(Stdio::piped());
        }
        let child = self.spawn();
        if !stdin {
            self.std.stdin(Stdio::inherit());
        }
        if !stdout {
            self.std.stdout(Stdio::inherit());
        }
        if !stderr {
            self.std.stderr(Stdio::inherit());
        }
        async move { child?.wait_with_output().await }
    }

    /// Becomes the program, in place of this process. Returns only if that fails.
    ///
    /// No destructor runs: what was written to a stream and not sent is lost.
    pub fn exec(&mut self) -> io::Error {
        let error = self.std.exec();
        crate::error::describe(format_args!("exec {:?}", self.std.get_program()), error)
    }
}

impl From<process::Command> for Command {
    fn from(std: process::Command) -> Self {
        Self { std, kill_on_drop: false, is_set: [false; 3] }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.std.fmt(f)
    }
}
