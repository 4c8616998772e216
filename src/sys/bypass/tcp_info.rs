//! What the kernel knows of a TCP connection.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::socket::raw_tcp_info;

/// What the kernel knows of a TCP connection. Times are zero before it has measured them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpInfo {
    /// The smoothed round trip time.
    pub rtt: Duration,
    /// How much the round trip time varies.
    pub rtt_variation: Duration,
    /// How long the kernel waits for an acknowledgement before it sends again.
    pub retransmission_timeout: Duration,
    /// The largest segment that is sent, in bytes.
    pub send_mss: u32,
    /// The largest segment that the peer is expected to send, in bytes.
    pub recv_mss: u32,
    /// How many segments may be on the way without an acknowledgement.
    pub congestion_window: u32,
    /// Above this congestion window the kernel raises it slowly, in segments.
    pub slow_start_threshold: u32,
    /// How many segments were sent and are not acknowledged.
    pub unacked: u32,
    /// How many of them count as lost.
    pub lost: u32,
    /// How many times in a row the retransmission timeout has elapsed.
    pub timeouts: u32,
    /// How many segments were sent again since the connection was made.
    pub total_retransmits: u32,
}

/// What the kernel knows of a TCP connection.
pub(crate) fn tcp_info(socket: &OwnedFd) -> io::Result<TcpInfo> {
    let info = raw_tcp_info(socket)?;
    let micros = |value: u32| Duration::from_micros(value.into());
    Ok(TcpInfo {
        rtt: micros(info.tcpi_rtt),
        rtt_variation: micros(info.tcpi_rttvar),
        retransmission_timeout: micros(info.tcpi_rto),
        send_mss: info.tcpi_snd_mss,
        recv_mss: info.tcpi_rcv_mss,
        congestion_window: info.tcpi_snd_cwnd,
        slow_start_threshold: info.tcpi_snd_ssthresh,
        unacked: info.tcpi_unacked,
        lost: info.tcpi_lost,
        timeouts: info.tcpi_retransmits.into(),
        total_retransmits: info.tcpi_total_retrans,
    })
}
