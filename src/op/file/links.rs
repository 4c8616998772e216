//! Operations on files as parts of a chain.

use std::io;

use super::{CloseLast, Fsync, OpenFirst, ReadAt, ReadVectoredAt, WriteAt, WriteVectoredAt};
use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::op::chain::{AnyLink, AnyPart, Linked, Part};

/// Defines a part of a chain: its operation, and what it returns.
macro_rules! part {
    (
        $(#[$doc:meta])*
        $name:ident $(<$buffer:ident: $bound:ident>)?: $operation:ty,
        $map:expr => $output:ty
    ) => {
        $(#[$doc])*
        pub struct $name $(<$buffer: $bound>)? (Linked<$operation>);

        impl $(<$buffer: $bound>)? $name $(<$buffer>)? {
            pub(crate) fn new(link: Linked<$operation>) -> Self {
                Self(link)
            }
        }

        // SAFETY: the link is a part of it.
        unsafe impl $(<$buffer: $bound>)? AnyPart for $name $(<$buffer>)? {
            fn any(&mut self) -> &mut dyn AnyLink {
                &mut self.0
            }
        }

        impl $(<$buffer: $bound>)? Part for $name $(<$buffer>)? {
            type Output = $output;

            fn into_output(self) -> $output {
                let map: fn(_) -> $output = $map;
                map(self.0.into_output())
            }
        }
    };
}

part! {
    /// A write to an offset, perhaps of a part of its buffer.
    WriteLink<B: IoBuf>: WriteAt<B>, |output| output => BufResult<usize, B>
}

part! {
    /// A write of all of a buffer, to an offset or to the end of the file.
    WriteAllLink<B: IoBuf>: WriteAt<B>, |output: BufResult<_, _>| output.map(drop)
        => BufResult<(), B>
}

part! {
    /// A write of several buffers to an offset, perhaps of a part of them.
    WriteVectoredLink<B: IoBuf>: WriteVectoredAt<B>, |output| output => BufResult<usize, Vec<B>>
}

part! {
    /// A write of all of several buffers to an offset.
    WriteAllVectoredLink<B: IoBuf>: WriteVectoredAt<B>, |output: BufResult<_, _>| output.map(drop)
        => BufResult<(), Vec<B>>
}

part! {
    /// A read from an offset.
    ReadLink<B: IoBufMut>: ReadAt<B>, |output| output => BufResult<usize, B>
}

part! {
    /// A read that fills its buffer.
    ReadExactLink<B: IoBufMut>: ReadAt<B>, |output: BufResult<_, _>| output.map(drop)
        => BufResult<(), B>
}

part! {
    /// A read from an offset into several buffers.
    ReadVectoredLink<B: IoBufMut>: ReadVectoredAt<B>, |output| output
        => BufResult<usize, Vec<B>>
}

part! {
    /// A read that fills several buffers.
    ReadExactVectoredLink<B: IoBufMut>: ReadVectoredAt<B>, |output: BufResult<_, _>| output.map(drop)
        => BufResult<(), Vec<B>>
}

part! {
    /// The open at the head of a chain.
    OpenLink: OpenFirst, |output| output => io::Result<()>
}

part! {
    /// The close at the end of a chain.
    CloseLink: CloseLast, |output| output => io::Result<()>
}

part! {
    /// A synchronisation.
    SyncLink: Fsync, |output| output => io::Result<()>
}
