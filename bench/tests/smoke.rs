//! The program end to end, as briefly as it goes: servers start, what comes back is compared, the
//! children end, and the results can be read.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs, process};

/// Runs the program; the results go to a folder of the test's own, which is returned too.
fn run(name: &str, arguments: &[&str]) -> (Output, PathBuf) {
    run_for(2, name, arguments)
}

fn run_for(rounds: usize, name: &str, arguments: &[&str]) -> (Output, PathBuf) {
    let folder = env::temp_dir().join(format!("annulus-bench-{name}-{}", process::id()));
    let output = Command::new(env!("CARGO_BIN_EXE_annulus-bench"))
        .args(arguments)
        .args([
            "--rounds",
            &rounds.to_string(),
            "--seconds",
            "0.05",
            "--warm-up",
            "0.02",
            "--results",
        ])
        .arg(&folder)
        .output()
        .expect("the program starts");
    (output, folder)
}

/// How many samples each contender of each cell has.
fn samples(folder: &Path, scenario: &str) -> Vec<(String, usize)> {
    let text = fs::read_to_string(folder.join(scenario).with_extension("json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&text).unwrap();
    let cells = results["cells"].as_array().unwrap();
    let entries = cells.iter().flat_map(|cell| cell["entries"].as_array().unwrap());
    let entry = |entry: &serde_json::Value| {
        let name = entry["contender"].as_str().unwrap().to_owned();
        (name, entry["samples"].as_array().unwrap().len())
    };
    entries.map(entry).collect()
}

#[test]
fn echo_compares_by_round() {
    let contenders = "annulus,annulus-portable,raw-epoll,raw-uring-oneshot,raw-uring-bundle";
    let shape = ["--connections", "4", "--sizes", "64,256k", "--depths", "1,16"];
    let shape = [&shape[..], &["--reference", "raw-uring", "--wide"]].concat();
    let arguments = [&["echo", "--contenders", contenders], &shape[..]].concat();
    let (output, folder) = run("echo", &arguments);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("to raw-uring-") && printed.contains("annulus ahead"), "{printed}");
    assert!(printed.contains("cpu to raw-uring-"), "{printed}");
    let samples = samples(&folder, "echo");
    // Five contenders in four cells, each with both rounds.
    assert_eq!(samples.len(), 20, "{printed}");
    assert!(samples.iter().all(|(_, rounds)| *rounds == 2), "{printed}");
    make_a_page(&folder);
    fs::remove_dir_all(&folder).unwrap();
}

/// Makes the page of a folder, which has nothing that comes from elsewhere.
fn make_a_page(folder: &Path) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_annulus-bench"));
    let output = command.args(["report", "--results"]).arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("4 connections x 64 B, depth 16"));
    assert!(!page.contains("src=") && !page.contains("href="));
}

#[test]
fn buffers_of_another_size_make_another_contender() {
    let shape = ["--connections", "2", "--sizes", "256k", "--depths", "1"];
    let contenders = ["--contenders", "annulus,raw-threads,raw-threads@256k,raw-epoll-own"];
    let (output, folder) = run_for(5, "sized", &[&["echo"], &shape[..], &contenders].concat());
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    let names: Vec<_> = samples(&folder, "echo").into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["annulus", "raw-epoll-own", "raw-threads", "raw-threads@256k"]);
    let text = fs::read_to_string(folder.join("echo.json")).unwrap();
    assert!(text.contains("\"16 KiB a connection\"") && text.contains("\"256 KiB a connection\""));
    // The verdict is the first line below the cell's name.
    let mut lines = printed.lines().skip_while(|line| !line.starts_with("2 connections"));
    let verdict = lines.nth(1).unwrap();
    assert!(verdict.starts_with("annulus: ") && verdict.contains("raw-threads@256k"), "{verdict}");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn two_builds_are_compared_by_round() {
    // It is its own other build.
    let shape = ["--connections", "2", "--sizes", "64", "--depths", "1"];
    let against = ["--against", env!("CARGO_BIN_EXE_annulus-bench")];
    let (output, folder) = run("compare", &[&["compare"], &against[..], &shape].concat());
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    let samples = samples(&folder, "compare");
    // One cell of echo and all of tasks, each with both rounds of both.
    assert_eq!(samples.len(), 26, "{printed}");
    assert!(samples.iter().all(|(_, rounds)| *rounds == 2), "{printed}");
    assert!(printed.contains("in the middle of 13 cells"), "{printed}");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_build_that_is_not_there_is_named() {
    let (output, _) = run("no-build", &["compare", "--against", "/nowhere/annulus-bench"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/annulus-bench: "));
}

#[test]
fn what_is_missing_is_listed_with_its_reason() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_annulus-bench"));
    let output = command.arg("list").output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    for line in [
        "without annulus-owned, annulus-owned-portable: file: it differs from annulus in receiving alone",
        "without asyncio, raw-epoll-own, uvloop: proxy: it has no such server here",
        "without asyncio, uvloop: scale: its interpreter runs one thread at a time",
    ] {
        assert!(printed.contains(line), "{printed}");
    }
}

#[test]
fn results_are_all_that_is_said_if_that_is_asked_for() {
    let shape = ["--connections", "2", "--sizes", "64", "--depths", "1", "--json"];
    let (output, folder) =
        run("json", &[&["echo", "--contenders", "raw-epoll"], &shape[..]].concat());
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["cells"].as_array().unwrap().len(), 1);
    assert_eq!(said["cells"][0]["limit"], "raw-epoll");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn tasks_run_without_a_server() {
    let (output, folder) = run(
        "tasks",
        &["tasks", "--wide", "--contenders", "annulus,annulus-portable,raw-epoll,tokio"],
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // A hand-written server has no tasks, and is left out by name.
    assert!(String::from_utf8_lossy(&output.stdout).contains("without raw-epoll"));
    let samples = samples(&folder, "tasks");
    assert!(!samples.is_empty());
    assert!(samples.iter().all(|(_, rounds)| *rounds == 2));
    // All workloads, by each.
    let count = |name: &str| samples.iter().filter(|(one, _)| one == name).count();
    assert_eq!(["tokio", "annulus", "annulus-portable"].map(count), [15; 3]);
    fs::remove_dir_all(&folder).unwrap();
}

/// A core that this process may use.
fn some_core() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    line.trim().split([',', '-']).next().unwrap().to_owned()
}

#[test]
fn scale_serves_with_several_threads() {
    let core = some_core();
    let cores = format!("{core},{core}");
    let contenders = "annulus,raw-epoll,raw-uring-oneshot,raw-threads,tokio,tokio-multi,monoio,\
                      glommio,compio,tokio-uring,smol,asyncio";
    let shape = ["--connections", "16", "--sizes", "64", "--server-cores", &cores];
    let load = ["--load-cores", &cores, "--wide"];
    let arguments = [&["scale", "--contenders", contenders], &shape[..], &load].concat();
    let (output, folder) = run("scale", &arguments);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("1 core: ") && printed.contains("2 cores: "), "{printed}");
    assert!(printed.contains("without asyncio: its interpreter"), "{printed}");
    let samples = samples(&folder, "scale");
    // What a machine does not allow is left out by name; these two need nothing special.
    for name in ["annulus", "tokio-multi"] {
        let rounds: Vec<_> = samples.iter().filter(|(one, _)| one == name).collect();
        assert_eq!(rounds.len(), 2, "{printed}");
        assert!(rounds.iter().all(|(_, rounds)| *rounds == 2), "{printed}");
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// Runs a scenario with everybody, and says who was measured in each of its cells.
fn run_with_all(scenario: &str, shape: &[&str], cells: usize) -> Vec<String> {
    let (output, folder) = run_for(1, scenario, &[&[scenario], shape].concat());
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    println!("{printed}");
    let mut names: Vec<_> = samples(&folder, scenario).into_iter().collect();
    names.retain(|(_, rounds)| *rounds == 1);
    let mut whole: Vec<String> = names.iter().map(|(name, _)| name.clone()).collect();
    whole.sort_unstable();
    whole.dedup();
    whole.retain(|name| names.iter().filter(|(one, _)| one == name).count() == cells);
    fs::remove_dir_all(&folder).unwrap();
    whole
}

#[test]
fn a_fan_out_reaches_every_reader() {
    let shape = ["--readers", "20", "--sizes", "64,20k", "--depths", "4"];
    let whole = run_with_all("fanout", &shape, 2);
    for name in [
        "annulus",
        "annulus-portable",
        "raw-epoll",
        "raw-uring-4k",
        "raw-uring-bundle",
        "raw-threads",
        "tokio",
    ] {
        assert!(whole.iter().any(|one| one == name), "{name} is not among {whole:?}");
    }
}

#[test]
fn files_hold_what_was_written() {
    // A megabyte, so that each block is read and written often.
    let kinds = "random-read,random-write,sequential-read,sequential-write,sync";
    let shape = ["--kinds", kinds, "--modes", "buffered", "--depths", "8", "--file-size", "1M"];
    let whole = run_with_all("file", &shape, 5);
    for name in [
        "annulus-portable",
        "raw-threads",
        "raw-uring-oneshot",
        "raw-uring-direct",
        "tokio",
        "smol",
        "monoio",
    ] {
        assert!(whole.iter().any(|one| one == name), "{name} is not among {whole:?}");
    }
}

#[test]
fn a_log_with_group_commit_holds_what_was_acknowledged() {
    let shape = ["--kinds", "group-commit", "--depths", "8", "--file-size", "1M"];
    let contenders = ["annulus", "annulus-portable", "tokio", "tokio-multi", "compio"];
    let names = contenders.join(",");
    let shape = [&["file"], &shape[..], &["--wide", "--contenders", &names]].concat();
    let (output, folder) = run_for(1, "group-commit", &shape);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    let samples = samples(&folder, "file");
    let measured: Vec<_> = samples.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(measured, contenders, "{printed}");
    assert!(printed.contains("records/s") && printed.contains("syncs/record"), "{printed}");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn direct_files_are_read_or_left_out_in_one_line() {
    let shape = ["--modes", "direct", "--depths", "2", "--file-size", "1M"];
    let contenders = ["--contenders", "raw-threads,tokio", "--kinds", "random-read,sync"];
    let (output, folder) = run("file", &[&["file"], &shape[..], &contenders].concat());
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    let samples = samples(&folder, "file");
    if complaints.contains("O_DIRECT is left out") {
        println!("skipped: the folder for temporary files has no O_DIRECT");
        assert!(samples.is_empty());
    } else {
        assert_eq!(samples, [("raw-threads".to_owned(), 2), ("raw-threads".to_owned(), 2)]);
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn proxies_pass_on_both_ways() {
    let whole = run_with_all("proxy", &["--connections", "4", "--sizes", "64,256k"], 2);
    for name in ["annulus", "raw-epoll", "raw-uring-oneshot", "raw-uring-16k", "raw-uring-bundle"] {
        assert!(whole.iter().any(|one| one == name), "{name} is not among {whole:?}");
    }
}

#[test]
fn the_stores_reply_what_was_set() {
    let shape = ["--connections", "4", "--pipelines", "1,16", "--keys", "1000"];
    let whole = run_with_all("kv", &shape, 4);
    for name in ["annulus", "annulus-portable", "tokio"] {
        assert!(whole.iter().any(|one| one == name), "{name} is not among {whole:?}");
    }
    // Where redis-server is not installed, it is left out by name.
    let is_installed = Command::new("redis-server").arg("--version").output().is_ok();
    assert_eq!(whole.iter().any(|one| one == "redis"), is_installed, "{whole:?}");
}

/// Whether a program can be started.
fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

#[test]
fn all_servers_of_http_answer_the_same() {
    let whole = run_with_all("http", &["--scenarios", "idle,allocations"], 2);
    for name in [
        "annulus-axum",
        "annulus-httparse",
        "annulus-hyper",
        "annulus-hyper-portable",
        "cyper-axum",
        "epoll-httparse",
        "monoio-hyper",
        "tokio-axum",
        "tokio-hyper",
    ] {
        assert!(whole.iter().any(|one| one == name), "{name} is not among {whole:?}");
    }
}

#[test]
fn clients_of_http_that_were_not_written_here_are_read() {
    let names = "tokio-hyper,nginx";
    for (scenario, kind, program) in [("http", "h2c", "h2load"), ("tls", "handshakes", "wrk")] {
        let arguments = [scenario, "--scenarios", kind, "--contenders", names, "--reference"];
        let arguments = [&arguments[..], &["tokio-hyper", "--wide"]].concat();
        let (output, folder) = run_for(1, kind, &arguments);
        let printed = String::from_utf8_lossy(&output.stdout);
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{printed}{complaints}");
        let samples = samples(&folder, scenario);
        if is_installed(program) {
            assert!(samples.contains(&("tokio-hyper".to_owned(), 1)), "{printed}");
            assert!(printed.contains("| tokio-hyper | "), "{printed}");
        } else {
            println!("skipped: {program} is not installed");
            assert!(complaints.contains("apt-get install"), "{complaints}");
        }
        let has_nginx = samples.iter().any(|(name, _)| name == "nginx");
        let names_it = printed.contains("apt-get install nginx-light");
        assert!(samples.is_empty() || has_nginx != names_it, "{printed}");
        fs::remove_dir_all(&folder).unwrap();
    }
}

#[test]
fn an_unknown_contender_is_refused_by_name() {
    let (output, _) = run("unknown", &["echo", "--contenders", "no-such-one"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such-one"));
}

/// All honest clients are served, and the memory is bounded. The latencies of so short a run, on a
/// busy machine, say nothing.
#[test]
fn a_server_with_little_memory_serves_honest_clients_beside_hostile_ones() {
    let output = Command::new(env!("CARGO_BIN_EXE_annulus-bench"))
        .args(["hostile", "--connections", "400", "--honest", "10", "--memory", "64"])
        .args(["--rounds", "1", "--seconds", "1", "--flood-rate", "100", "--settle", "120"])
        .output()
        .expect("the program starts");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("| 1, attacked |"), "{printed}");
}
