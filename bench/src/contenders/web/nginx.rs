//! nginx, where it is installed: one process, which answers from its configuration.

use std::io;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::{env, fs};

use super::Task;
use crate::web::site::{CERTIFICATE, KEY, SUITE_NAME};
use crate::web::{BODY, LARGE, Protocol};

const PROGRAM: &str = "nginx";

/// Debian has it where only root's search path leads.
const FOLDERS: &str = "/usr/local/sbin:/usr/sbin:/sbin";

fn search_path() -> String {
    format!("{}:{FOLDERS}", env::var("PATH").unwrap_or_default())
}

pub(super) fn obstacle() -> Option<String> {
    let is_there = |folder: &str| Path::new(folder).join(PROGRAM).is_file();
    let is_missing = !search_path().split(':').any(is_there);
    is_missing.then(|| "nginx is not installed: apt-get install nginx-light".to_owned())
}

pub(super) fn serve(task: Task<'_>) -> io::Result<()> {
    let address = task.listener.local_addr()?;
    let file = task.site.join(format!("nginx-{}.conf", process::id()));
    fs::write(&file, configuration(task.protocol, address, task.site))?;
    // It takes no listening socket; the load tries again until it listens itself.
    drop(task.listener);
    (task.announce)(address)?;
    // This process becomes the server; it returns only if there is none.
    let error = Command::new(PROGRAM)
        .env("PATH", search_path())
        .arg("-p")
        .arg(task.site)
        .arg("-c")
        .arg(&file)
        .args(["-e", "stderr"])
        .stdout(Stdio::null())
        .exec();
    Err(io::Error::new(error.kind(), format!("{PROGRAM}: {error}")))
}

fn configuration(protocol: Protocol, address: SocketAddr, site: &Path) -> String {
    let listen = match protocol {
        Protocol::Http1 => "",
        Protocol::Http2 => " http2",
        Protocol::Tls => " ssl http2",
    };
    let root = site.display();
    let pid = process::id();
    format!(
        "daemon off; master_process off; worker_processes 1; pid {root}/nginx-{pid}.pid;
         worker_rlimit_nofile 16384; error_log stderr crit;
         events {{ worker_connections 8192; multi_accept on; }}
         http {{
             access_log off; keepalive_requests 1000000000; keepalive_timeout 600; sendfile on;
             client_body_temp_path {root}; proxy_temp_path {root}; fastcgi_temp_path {root};
             uwsgi_temp_path {root}; scgi_temp_path {root};
             ssl_certificate {root}/{CERTIFICATE}; ssl_certificate_key {root}/{KEY};
             ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites {SUITE_NAME};
             server {{
                 listen {address}{listen} backlog=16384;
                 location = / {{ return 200 '{BODY}'; }}
                 location = {LARGE} {{ root {root}; }}
             }}
         }}"
    )
}
