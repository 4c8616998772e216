//! How long a line may be that a server's handler or a client reads is set where the connection is
//! made.

use std::io::{self, ErrorKind};

use annulus::net::{
    ConnectOptions, ServerOptions, StreamReader, StreamWriter, open_connection_with,
    start_server_with,
};

use crate::common::panics::panic_of;
use crate::common::watchdog::run;

/// Answers with as many bytes as the line has, or with a word if it is too long.
async fn measure(mut reader: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    loop {
        let answer = match reader.read_line().await.map_err(io::Error::from) {
            Ok(line) if line.is_empty() => return Ok(()),
            Ok(line) => line.to_vec(),
            Err(error) if error.kind() == ErrorKind::InvalidData => b"long\n".to_vec(),
            Err(error) => return Err(error),
        };
        writer.write(answer).await?;
    }
}

#[test]
fn readers_have_the_limits_of_the_options_they_were_made_with() {
    run(async {
        let options = ServerOptions::new().reader_limit(8);
        let server = start_server_with(measure, "127.0.0.1:0", &options).await.unwrap();
        let options = ConnectOptions::new().reader_limit(6);
        let address = server.local_addrs()[0];
        let (mut reader, mut writer) = open_connection_with(address, &options).await.unwrap();
        writer.write("123456\n").await.unwrap();
        assert_eq!(&*reader.read_line().await.unwrap(), b"123456\n");
        writer.write("123456789\n").await.unwrap();
        assert_eq!(&*reader.read_line().await.unwrap(), b"long\n");
        writer.write("12345678\n").await.unwrap();
        let error = io::Error::from(reader.read_line().await.unwrap_err());
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        let options = ConnectOptions::new().reader_limit(100_000);
        assert!(open_connection_with(address, &options).await.is_ok());
    });
}

/// A server that took the options would panic in the task of each connection instead.
#[test]
fn a_limit_of_zero_is_refused_where_it_is_given() {
    let refused = "the limit of a reader must be at least one byte";
    assert_eq!(panic_of(|| ServerOptions::new().reader_limit(0)), refused);
    assert_eq!(panic_of(|| ConnectOptions::new().reader_limit(0)), refused);
}
