//! The examples `static_files` and `https_static`, driven by curl.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::clients::{curl, output, printed};
use crate::common::program::{Program, example};
use crate::programs::Served;
use crate::tls::{identity_files, trusting};

/// A directory `public` with files, and beside it what is not served. Removed when dropped.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = path.join(format!("static-{name}-{}", process::id()));
        let _ = fs::remove_dir_all(&path);
        let public = path.join("public");
        fs::create_dir_all(public.join("sub")).unwrap();
        fs::create_dir_all(public.join(".git")).unwrap();
        fs::write(path.join("secret.txt"), "secret").unwrap();
        fs::write(public.join("index.html"), "<p>index").unwrap();
        fs::write(public.join("sub/index.html"), "<p>sub").unwrap();
        fs::write(public.join("sub/ten.txt"), "0123456789").unwrap();
        fs::write(public.join("a b.css"), "p {}").unwrap();
        fs::write(public.join("empty"), "").unwrap();
        fs::write(public.join(".git/config"), "secret").unwrap();
        symlink("sub/ten.txt", public.join("inside.txt")).unwrap();
        symlink("../secret.txt", public.join("outside.txt")).unwrap();
        symlink("..", public.join("up")).unwrap();
        Self(path)
    }

    fn public(&self) -> String {
        self.0.join("public").into_os_string().into_string().unwrap()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn start(files: &Files) -> Served {
    Served::start("static_files", &[&files.public()])
}

fn start_with_tls(files: &Files) -> Served {
    let [certificate, key] = identity_files();
    let arguments = ["--certificate", &certificate, "--key", &key, &files.public()];
    Served::start("https_static", &arguments)
}

/// What one run of curl prints of each request, which has options and a path: the body, and what
/// `format` says. Bodies have no line breaks here.
fn answers<'a>(
    server: &Served,
    scheme: &str,
    format: &str,
    requests: impl IntoIterator<Item = (Vec<&'a str>, &'a str)>,
) -> Option<Vec<String>> {
    let mut curl = curl(&["--no-fail-with-body"])?;
    let format = format!("{format}\n");
    for (options, path) in requests {
        let url = format!("{scheme}://localhost:{}{path}", server.address.port());
        // Each request has options of its own.
        curl.args(["--next", "-sS", "--max-time", "60", "--path-as-is", "-w", &format, &url]);
        curl.args(options).args(trusting(server.address));
    }
    Some(printed(&mut curl).lines().map(str::to_owned).collect())
}

#[test]
fn files_have_their_type_and_only_those_below_the_directory_are_served() {
    let files = Files::new("paths");
    let mut server = start(&files);
    let html = "text/html; charset=utf-8";
    let text = "text/plain; charset=utf-8";
    let served = [
        ("/", format!("<p>index|200 {html}")),
        ("/index.html?query", format!("<p>index|200 {html}")),
        ("/sub/", format!("<p>sub|200 {html}")),
        ("/sub/ten.txt", format!("0123456789|200 {text}")),
        ("/sub%2Ften.txt", format!("0123456789|200 {text}")),
        ("/inside.txt", format!("0123456789|200 {text}")),
        ("/a%20b.css", "p {}|200 text/css; charset=utf-8".to_owned()),
        ("/empty", "|200 application/octet-stream".to_owned()),
        ("/sub", "|308 ".to_owned()),
    ];
    let requests = served.iter().map(|(path, _)| (vec![], *path));
    let format = "|%{http_code} %{content_type}";
    let Some(answers_of_served) = answers(&server, "http", format, requests) else { return };
    assert_eq!(answers_of_served, served.map(|(_, wanted)| wanted));
    let refused = [
        "/missing",
        "/index.html/",
        "/index.html/x",
        "/../secret.txt",
        "/sub/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/sub/%2E%2E/%2E%2E/secret.txt",
        "/.%2e/secret.txt",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/sub//ten.txt",
        "/outside.txt",
        "/up/secret.txt",
        "/up/public/index.html/../../secret.txt",
        "/.git/config",
        "/index.html%00.txt",
        "/%ff",
    ];
    let requests = refused.map(|path| (vec![], path));
    let answers_of_refused = answers(&server, "http", "|%{http_code}", requests).unwrap();
    assert_eq!(answers_of_refused, refused.map(|_| "|404"), "{refused:?}");
    let request = (vec!["-X", "DELETE"], "/");
    let answer = answers(&server, "http", "|%{http_code} %header{allow}", [request]).unwrap();
    assert_eq!(answer, ["|405 GET,HEAD"]);
    assert!(server.stop().starts_with("stopped: "));
}

/// `swapped` is a directory of the site in one moment, and a link out of it in the next.
#[test]
fn a_link_that_replaces_a_directory_leads_to_no_file_outside() {
    let files = Files::new("race");
    let public = files.0.join("public");
    fs::create_dir(files.0.join("outside")).unwrap();
    fs::write(files.0.join("outside/file.txt"), "secret").unwrap();
    fs::create_dir(public.join("inside")).unwrap();
    fs::write(public.join("inside/file.txt"), "public").unwrap();
    symlink("../outside", public.join("link")).unwrap();
    symlink("inside", public.join("swapped")).unwrap();
    let server = start(&files);
    let url = format!("http://{}/swapped/file.txt?[1-3000]", server.address);
    let Some(mut curl) = curl(&["-sS", "--no-fail-with-body", "-w", "%{http_code}\n", &url]) else {
        return;
    };
    let is_over = AtomicBool::new(false);
    let printed = thread::scope(|scope| {
        scope.spawn(|| {
            let turn = ["inside", "link"].into_iter().cycle();
            for leads_to in turn.take_while(|_| !is_over.load(Ordering::Relaxed)) {
                symlink(leads_to, public.join(".next")).unwrap();
                fs::rename(public.join(".next"), public.join("swapped")).unwrap();
            }
        });
        let printed = printed(&mut curl);
        is_over.store(true, Ordering::Relaxed);
        printed
    });
    let count = |line| printed.lines().filter(|&it| it == line).count();
    let (served, refused) = (count("public200"), count("404"));
    assert_eq!(served + refused, 3000, "{printed}");
    assert!(served > 0 && refused > 0, "{served} served, {refused} refused: nothing was replaced");
}

#[test]
fn a_part_of_a_file_its_head_and_a_file_that_has_not_changed_are_answered() {
    let files = Files::new("parts");
    let server = start_with_tls(&files);
    let format = "|%{http_code} %header{content-length} %header{content-range}";
    let file = "/sub/ten.txt";
    let head = vec!["--head", "-o", "/dev/null"];
    let format_of_state = "%header{last-modified}|%header{etag}";
    let Some(state) = answers(&server, "https", format_of_state, [(head.clone(), file)]) else {
        return;
    };
    let (date, tag) = state[0].split_once('|').unwrap();
    let none_match = format!("If-None-Match: \"other\", W/{tag}");
    let unmodified = format!("If-Unmodified-Since: {date}");
    let same = format!("If-Match: {tag}");
    let same_weakly = format!("If-Match: W/{tag}");
    let if_range_of_tag = format!("If-Range: {tag}");
    let since = format!("If-Modified-Since: {date}");
    let if_range = format!("If-Range: {date}");
    let range = "Range: bytes=2-4";
    let old = "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT";
    let table = [
        (&[][..], "0123456789|200 10 "),
        (&[range], "234|206 3 bytes 2-4/10"),
        (&["Range: bytes=7-"], "789|206 3 bytes 7-9/10"),
        (&["Range: bytes=-3"], "789|206 3 bytes 7-9/10"),
        (&["Range: bytes=-99"], "0123456789|206 10 bytes 0-9/10"),
        (&["Range: bytes=8-99999999999999999999999"], "89|206 2 bytes 8-9/10"),
        (&["Range: bytes=10-"], "|416 0 bytes */10"),
        (&["Range: bytes=-0"], "|416 0 bytes */10"),
        // What is not understood is ignored, and so are several ranges.
        (&["Range: bytes=4-2"], "0123456789|200 10 "),
        (&["Range: bytes=+2-4"], "0123456789|200 10 "),
        (&["Range: bytes=0-1,3-4"], "0123456789|200 10 "),
        (&["Range: lines=0-1"], "0123456789|200 10 "),
        (&[range, &if_range], "234|206 3 bytes 2-4/10"),
        (&[range, "If-Range: Thu, 01 Jan 1970 00:00:00 GMT"], "0123456789|200 10 "),
        (&[range, "If-Range: \"tag\""], "0123456789|200 10 "),
        (&[&since], "|304  "),
        (&[&since, "If-None-Match: \"tag\""], "0123456789|200 10 "),
        (&[old], "0123456789|200 10 "),
        (&["If-Modified-Since: yesterday"], "0123456789|200 10 "),
        (&[&none_match], "|304  "),
        (&["If-None-Match: *"], "|304  "),
        (&[&none_match, old], "|304  "),
        (&[range, &if_range_of_tag], "234|206 3 bytes 2-4/10"),
        (&[&same, "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT"], "0123456789|200 10 "),
        (&["If-Match: *"], "0123456789|200 10 "),
        (&[&unmodified], "0123456789|200 10 "),
        (&[&same_weakly], "|412 0 "),
        (&["If-Match: \"other\""], "|412 0 "),
        (&["If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT"], "|412 0 "),
    ];
    for version in ["--http1.1", "--http2"] {
        let requests = table.iter().map(|(headers, _)| {
            let headers = headers.iter().flat_map(|header| ["-H", header]);
            (headers.chain([version]).collect(), file)
        });
        let answers = answers(&server, "https", format, requests).unwrap();
        assert_eq!(answers.len(), table.len());
        for (answer, (headers, wanted)) in answers.iter().zip(table) {
            // hyper adds a length to a 304 of HTTP/2.
            let is_equal = answer == wanted || (wanted == "|304  " && answer == "|304 0 ");
            assert!(is_equal, "{version} {headers:?}: {answer:?}, not {wanted:?}");
        }
    }
    let request = ([&head[..], &["-H", range]].concat(), file);
    assert_eq!(answers(&server, "https", format, [request]).unwrap(), ["|200 10 "]);
}

#[test]
fn a_large_file_arrives_equal_and_is_sent_to_its_end_when_the_server_stops() {
    let files = Files::new("large");
    let bytes: Vec<u8> = (0..5 << 20_u32).map(|number| (number / 251 + number) as u8).collect();
    fs::write(files.0.join("public/large"), &bytes).unwrap();
    let mut server = Served::start("https_static", &["--self-signed", &files.public()]);
    let url = format!("https://{}/large", server.address);
    for version in ["--http1.1", "--http2"] {
        let Some(mut curl) = curl(&["--insecure", version, &url]) else { return };
        assert!(output(&mut curl).stdout == bytes, "{version}");
    }
    // More than the kernel buffers, so that it is on its way until this reads.
    let length = 24 << 20;
    fs::File::create(files.0.join("public/larger")).unwrap().set_len(length).unwrap();
    let url = format!("https://{}/larger", server.address);
    let mut curl = curl(&["--insecure", &url]).unwrap();
    let mut client = curl.stdout(Stdio::piped()).spawn().unwrap();
    let mut body = BufReader::new(client.stdout.take().unwrap());
    assert!(!body.fill_buf().unwrap().is_empty(), "the file has begun");
    server.program.child.signal(libc::SIGTERM);
    assert_eq!(io::copy(&mut body, &mut io::sink()).unwrap(), length);
    let report = server.last_line();
    assert_eq!(report, "stopped: 1 completed, 0 soft-cancelled, 0 aborted");
    assert!(client.wait().unwrap().success());
}

#[test]
fn what_https_static_cannot_serve_is_explained_in_one_line() {
    let files = Files::new("errors");
    let public = files.public();
    let [certificate, key] = identity_files();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let file = format!("{public}/index.html");
    for (arguments, status, names) in [
        (&["--self-signed", "/no/such", "127.0.0.1:0"][..], 1, "/no/such"),
        (&["--self-signed", &file, "127.0.0.1:0"], 1, &*file),
        (&["--self-signed", &public, &taken], 1, &*taken),
        (&["--certificate", "/no/file", "--key", &key, &public], 1, "/no/file"),
        (&["--certificate", &certificate, "--key", "/no/key", &public], 1, "/no/key"),
        (&["--certificate", &certificate, "--key", &certificate, &public], 1, &*certificate),
        (&["--self-signed", &public, "nonsense"], 1, "nonsense"),
        (&[&public], 2, "--self-signed"),
        (&["--self-signed"], 2, "DIRECTORY"),
        (&["--self-signed", "--wrong"], 2, "--wrong"),
        (&["--self-signed", &public, "127.0.0.1:0", "more"], 2, "more"),
    ] {
        let ended = Program::start(example("https_static").args(arguments)).ended();
        assert_eq!(ended.status.code(), Some(status), "{arguments:?}: {ended:?}");
        let [line] = ended.stderr.as_slice() else { panic!("not one line: {ended:?}") };
        assert!(line.starts_with("https_static: ") && line.contains(names), "{line}");
    }
}
