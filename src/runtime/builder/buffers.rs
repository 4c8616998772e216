//! The sizes of the buffers for received bytes.

use super::Builder;
use crate::driver::BufferSize;

impl Builder {
    /// Sets the large receive buffers: `count` of `bytes` each; 64 of 256 KiB by default.
    ///
    /// [`TcpStream::recv`](crate::net::TcpStream::recv) uses them for bulk traffic. Few buffers
    /// that are used again at once stay in the processor's cache. While all are lent, receives
    /// allocate memory ([`max_fallback_bytes`](Self::max_fallback_bytes)).
    ///
    /// Address space is reserved when the first is needed, and takes pages as they are used. Where
    /// address space is limited there are fewer
    /// ([`Incident::FewerLeases`](crate::Incident::FewerLeases)). A running event loop returns
    /// pages that have not been needed for a while.
    ///
    /// # Panics
    ///
    /// If `count` or `bytes` is zero, `count` is above 32,768, or `bytes` above 1 GiB.
    #[track_caller]
    pub fn large_buffers(mut self, count: u16, bytes: usize) -> Self {
        self.buffers.large = buffer_size(count, bytes);
        self
    }

    /// Sets the small receive buffers: at most `count` of `bytes` each; 4096 of 4 KiB by default.
    ///
    /// [`TcpStream::recv`](crate::net::TcpStream::recv) uses them for small messages: they are
    /// provided buffers, of which the kernel selects one when bytes have arrived (Linux 5.19). Only
    /// as many are used as were needed at the same time lately, so a large `count` costs nothing by
    /// itself. `count` is rounded up to a power of two.
    ///
    /// While all are lent, receives use large ones, each with an SQE more.
    ///
    /// # Panics
    ///
    /// As for [`large_buffers`](Self::large_buffers).
    #[doc(alias = "IORING_REGISTER_PBUF_RING")]
    #[track_caller]
    pub fn small_buffers(mut self, count: u16, bytes: usize) -> Self {
        let BufferSize { count, bytes } = buffer_size(count, bytes);
        self.buffers.small = BufferSize { count: count.next_power_of_two(), bytes };
        self
    }

    /// Sets the receive buffers for datagrams: at most `count` of `bytes` each; 1024 of 68 KiB by
    /// default.
    ///
    /// [`UdpSocket::recv_msg`](crate::net::UdpSocket::recv_msg) and
    /// [`UdpSocket::recv_many`](crate::net::UdpSocket::recv_many) use them: they are provided
    /// buffers (Linux 6.0). 320 bytes of each are for the sender's address and control messages. A
    /// datagram that is longer than the rest is cut, which is reported; the default has room for
    /// the longest. What datagrams are not written to takes address space only, so a buffer that
    /// has held 1200 bytes costs a page. `count` is rounded up to a power of two.
    ///
    /// # Panics
    ///
    /// As for [`large_buffers`](Self::large_buffers), and if `bytes` is less than 1024.
    #[track_caller]
    pub fn datagram_buffers(mut self, count: u16, bytes: usize) -> Self {
        let BufferSize { count, bytes } = buffer_size(count, bytes);
        assert!(bytes >= 1024, "`datagram_buffers`: a buffer has at least 1024 bytes");
        self.buffers.datagrams = BufferSize { count: count.next_power_of_two(), bytes };
        self
    }

    /// Limits the memory that receives allocate while all buffers are lent, in bytes.
    ///
    /// 16 MiB by default.
    ///
    /// Each such receive allocates as much as can be received, at most 64 KiB; beyond the limit, at
    /// most 4 KiB. Receives never wait for a buffer: a task that keeps its leases and receives
    /// again would wait for itself.
    ///
    /// So leases take no more memory than [`large_buffers`](Self::large_buffers),
    /// [`small_buffers`](Self::small_buffers) and this, plus 4 KiB for each
    /// [`Lease`](crate::buf::Lease) that the program keeps beyond them: a limit on connections is a
    /// limit on memory. [`Metrics::fallback_buffer_bytes`](crate::Metrics::fallback_buffer_bytes)
    /// is how much is in use.
    pub fn max_fallback_bytes(mut self, bytes: usize) -> Self {
        self.buffers.fallback = bytes;
        self
    }
}

#[track_caller]
fn buffer_size(count: u16, bytes: usize) -> BufferSize {
    assert!(
        count > 0 && bytes > 0,
        "`large_buffers` and `small_buffers` need a count and a size above zero"
    );
    assert!(count <= 1 << 15, "`large_buffers` and `small_buffers`: at most 32,768 buffers");
    assert!(bytes <= 1 << 30, "`large_buffers` and `small_buffers`: a buffer has at most 1 GiB");
    BufferSize { count, bytes }
}
