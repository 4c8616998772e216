//! HTTP on this library.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use annulus::net::{TcpListener, TcpStream};

use super::Task;
use crate::web::answers::{Date, Requests};

/// Answers without hyper.
pub(super) fn by_hand(task: Task<'_>) -> io::Result<()> {
    annulus::Runtime::builder().build()?.block_on(async {
        let listener = TcpListener::from_std(task.listener);
        (task.announce)(listener.local_addr()?)?;
        let date = Rc::new(RefCell::new(Date::new()));
        loop {
            let (stream, _) = listener.accept().await?;
            drop(annulus::spawn(converse(stream, Rc::clone(&date))));
        }
    })
}

/// Serves a connection to its end.
async fn converse(mut stream: TcpStream, date: Rc<RefCell<Date>>) -> io::Result<()> {
    let (mut requests, mut out) = (Requests::default(), Vec::new());
    loop {
        let lease = stream.recv().await?;
        if lease.is_empty() {
            return Ok(());
        }
        {
            let mut date = date.borrow_mut();
            date.refresh();
            requests.answer(&lease, &mut date, &mut out)?;
        }
        drop(lease);
        let (sent, returned) = stream.write_all(out).await.into();
        sent?;
        out = returned;
        out.clear();
        if requests.closes {
            return Ok(());
        }
    }
}
