//! The options that every socket with IP addresses has: those of TCP and UDP.

use std::io;
use std::os::fd::OwnedFd;

use super::option::{Bits, MaybeName, Number, SocketOption};
use crate::error::Describe;
use crate::sys::option::{IP_TOS, IPV6_TCLASS, SO_BINDTODEVICE, SO_MARK, SO_PRIORITY};
use crate::sys::socket::{
    AF_INET6, IP_TTL, IPPROTO_IP, IPPROTO_IPV6, IPV6_UNICAST_HOPS, SO_DOMAIN, SO_INCOMING_CPU,
    SOL_SOCKET, option,
};

pub(in crate::net) const DEVICE: SocketOption<MaybeName> =
    SocketOption::new(SOL_SOCKET, SO_BINDTODEVICE, "device");
pub(in crate::net) const INCOMING_CPU: SocketOption<Bits> =
    SocketOption::new(SOL_SOCKET, SO_INCOMING_CPU, "incoming CPU");
pub(in crate::net) const MARK: SocketOption<Bits> = SocketOption::new(SOL_SOCKET, SO_MARK, "mark");
pub(in crate::net) const PRIORITY: SocketOption<Number> =
    SocketOption::new(SOL_SOCKET, SO_PRIORITY, "priority");
pub(in crate::net) const TOS_V4: SocketOption<Number> =
    SocketOption::new(IPPROTO_IP, IP_TOS, "type of service");
pub(in crate::net) const TCLASS_V6: SocketOption<Number> =
    SocketOption::new(IPPROTO_IPV6, IPV6_TCLASS, "traffic class");

pub(in crate::net) const TTL_V4: SocketOption<Number> =
    SocketOption::new(IPPROTO_IP, IP_TTL, "ttl");
pub(in crate::net) const TTL_V6: SocketOption<Number> =
    SocketOption::new(IPPROTO_IPV6, IPV6_UNICAST_HOPS, "ttl");

/// The hop limit, which each family has its own option for.
pub(in crate::net) fn ttl(fd: &OwnedFd) -> io::Result<SocketOption<Number>> {
    let family = option(fd, SOL_SOCKET, SO_DOMAIN).describe("get ttl")?;
    Ok(if family == AF_INET6 { TTL_V6 } else { TTL_V4 })
}

/// Methods of what has the options of an IP socket. The type has a method `options`.
macro_rules! ip_option_methods {
    () => {
        /// Sets how many hops a packet may take, 1 to 255.
        ///
        /// # Errors
        ///
        /// `InvalidInput` for another number.
        #[doc(alias = "IP_TTL")]
        #[doc(alias = "IPV6_UNICAST_HOPS")]
        #[doc(alias = "set_unicast_hops_v6")]
        pub fn set_ttl(&self, hops: u32) -> std::io::Result<()> {
            let options = self.options()?;
            let fd = options.fd()?;
            $crate::net::options::ip::ttl(fd)?.set(fd, hops)
        }

        /// How many hops a packet may take.
        ///
        /// # Errors
        ///
        /// The kernel's.
        pub fn ttl(&self) -> std::io::Result<u32> {
            let options = self.options()?;
            let fd = options.fd()?;
            $crate::net::options::ip::ttl(fd)?.get(fd)
        }

        $crate::net::options::option::option_methods_of! {
            /// Sets the type of service in the header of IPv4 packets, 0 to 255.
            ///
            /// Of its bits TCP keeps the lowest two for itself (ECN).
            ///
            /// # Errors
            ///
            /// The kernel's.
            #[doc(alias = "IP_TOS")]
            #[doc(alias = "set_tos")]
            set_tos_v4(tos: u32), tos_v4 -> u32, $crate::net::options::ip::TOS_V4;

            /// Sets the traffic class in the header of IPv6 packets, 0 to 255.
            ///
            /// Of its bits TCP keeps the lowest two for itself (ECN).
            ///
            /// # Errors
            ///
            /// `InvalidInput` for another number; `Uncategorized` (`ENOPROTOOPT`) for a socket of
            /// IPv4.
            #[doc(alias = "IPV6_TCLASS")]
            set_tclass_v6(class: u32), tclass_v6 -> u32, $crate::net::options::ip::TCLASS_V6;

            /// Sets the priority of outgoing packets in the queues of this machine.
            ///
            /// # Errors
            ///
            /// `PermissionDenied` for more than 6 without `CAP_NET_ADMIN`.
            #[doc(alias = "SO_PRIORITY")]
            set_priority(priority: u32), priority -> u32, $crate::net::options::ip::PRIORITY;

            /// Sets the mark of outgoing packets, by which the routing and the firewall choose.
            ///
            /// # Errors
            ///
            /// `PermissionDenied` without `CAP_NET_ADMIN`.
            #[doc(alias = "SO_MARK")]
            set_mark(mark: u32), mark -> u32, $crate::net::options::ip::MARK;

            /// Binds the socket to a network interface, such as `eth0`.
            ///
            /// Packets of other interfaces do not reach it. `None` ends that.
            ///
            /// # Errors
            ///
            /// `NotFound` (`ENODEV`) if there is no such interface, `InvalidInput` for a name of
            /// more than 15 bytes, and `PermissionDenied` without `CAP_NET_RAW` if the socket is
            /// bound to one already (before Linux 5.7, always).
            #[doc(alias = "SO_BINDTODEVICE")]
            bind_device(interface: Option<&str>), device -> Option<String>,
                $crate::net::options::ip::DEVICE;

            /// Sets the CPU whose packets the socket is for.
            ///
            /// Of several listeners on a port the kernel prefers the one whose CPU has received the
            /// connection. What is read of a connection is the CPU that has received its last
            /// packet.
            ///
            /// # Errors
            ///
            /// The kernel's.
            #[doc(alias = "SO_INCOMING_CPU")]
            #[doc(alias = "set_cpu_affinity")]
            set_incoming_cpu(cpu: u32), incoming_cpu -> u32,
                $crate::net::options::ip::INCOMING_CPU;
        }
    };
}

pub(in crate::net) use ip_option_methods;
