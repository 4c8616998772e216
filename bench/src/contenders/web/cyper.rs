//! axum on compio, as in cyper-axum's `examples/server.rs`.

use std::io;

use super::Task;
use super::router::router;

pub(super) fn serve(task: Task<'_>) -> io::Result<()> {
    compio::runtime::Runtime::new()?.block_on(async {
        let address = task.listener.local_addr()?;
        let listener = compio::net::TcpListener::from_std(task.listener)?;
        (task.announce)(address)?;
        cyper_axum::serve(listener, router()).await
    })
}
