//! One option of a socket: what the kernel calls it, and the form of its value.
//!
//! An option is a constant ([`SocketOption`]). `option_methods_of!` makes its two methods; where
//! they belong to several types, the types' macros have the row once.

use std::io;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::error::Describe;
use crate::sys::millis;
use crate::sys::option::{self, OptionValue};

/// An option whose value has the form `F`.
pub(in crate::net) struct SocketOption<F> {
    level: i32,
    name: i32,
    /// The name for errors.
    what: &'static str,
    form: PhantomData<fn() -> F>,
}

/// An option and the value that it is to have.
#[derive(Clone, Copy, Debug)]
pub(in crate::net) struct Setting {
    pub(in crate::net) level: i32,
    pub(in crate::net) name: i32,
    /// The name for errors.
    pub(in crate::net) what: &'static str,
    /// `None` if the value is a name that is too long.
    pub(in crate::net) value: Option<OptionValue>,
}

impl Setting {
    /// # Errors
    ///
    /// `InvalidInput` for a name that is too long.
    pub(in crate::net) fn value(&self) -> io::Result<OptionValue> {
        let too_long = || {
            let why = "the name has more than 15 bytes";
            io::Error::new(io::ErrorKind::InvalidInput, why)
        };
        self.value.ok_or_else(too_long)
    }

    /// Sets it.
    pub(in crate::net) fn set(&self, fd: &OwnedFd) -> io::Result<()> {
        let set = |value| option::set(fd, self.level, self.name, &value);
        self.value().and_then(set).describe(format_args!("set {}", self.what))
    }
}

impl<F: Form> SocketOption<F> {
    pub(in crate::net) const fn new(level: i32, name: i32, what: &'static str) -> Self {
        Self { level, name, what, form: PhantomData }
    }

    pub(in crate::net) fn setting(&self, value: F::Given<'_>) -> Setting {
        let Self { level, name, what, .. } = *self;
        Setting { level, name, what, value: F::encode(value) }
    }

    pub(in crate::net) fn set(&self, fd: &OwnedFd, value: F::Given<'_>) -> io::Result<()> {
        self.setting(value).set(fd)
    }

    pub(in crate::net) fn get(&self, fd: &OwnedFd) -> io::Result<F::Got> {
        let value = option::get(fd, self.level, self.name, F::ROOM);
        value.map(F::decode).describe(format_args!("get {}", self.what))
    }
}

/// The form of a value.
pub(in crate::net) trait Form {
    /// What the caller sets.
    type Given<'a>;
    /// What the caller reads.
    type Got;

    const ROOM: OptionValue = OptionValue::NUMBER;

    /// `None` for a name that is too long.
    fn encode(value: Self::Given<'_>) -> Option<OptionValue>;

    fn decode(value: OptionValue) -> Self::Got;
}

/// On or off.
pub(in crate::net) struct Switch;

impl Form for Switch {
    type Given<'a> = bool;
    type Got = bool;

    fn encode(on: bool) -> Option<OptionValue> {
        Some(OptionValue::number(on.into()))
    }

    fn decode(value: OptionValue) -> bool {
        value.as_number() != 0
    }
}

/// A number; what is beyond an `i32` is the largest.
pub(in crate::net) struct Number;

impl Form for Number {
    type Given<'a> = u32;
    type Got = u32;

    fn encode(number: u32) -> Option<OptionValue> {
        Some(OptionValue::number(i32::try_from(number).unwrap_or(i32::MAX)))
    }

    fn decode(value: OptionValue) -> u32 {
        value.as_number().unsigned_abs()
    }
}

/// All 32 bits of a number.
pub(in crate::net) struct Bits;

impl Form for Bits {
    type Given<'a> = u32;
    type Got = u32;

    fn encode(bits: u32) -> Option<OptionValue> {
        Some(OptionValue::number(i32::from_ne_bytes(bits.to_ne_bytes())))
    }

    fn decode(value: OptionValue) -> u32 {
        u32::from_ne_bytes(value.as_number().to_ne_bytes())
    }
}

/// A number of bytes; what is beyond an `i32` is the largest.
pub(in crate::net) struct Bytes;

impl Form for Bytes {
    type Given<'a> = usize;
    type Got = usize;

    fn encode(bytes: usize) -> Option<OptionValue> {
        Some(OptionValue::number(i32::try_from(bytes).unwrap_or(i32::MAX)))
    }

    fn decode(value: OptionValue) -> usize {
        value.as_number().unsigned_abs() as usize
    }
}

/// A time in milliseconds, rounded up; `None` is the system's default, zero to the kernel.
pub(in crate::net) struct Milliseconds;

impl Form for Milliseconds {
    type Given<'a> = Option<Duration>;
    type Got = Option<Duration>;

    fn encode(time: Option<Duration>) -> Option<OptionValue> {
        // The kernel would take zero for the default.
        let number = time.map_or(0, |time| i32::try_from(millis(time)).unwrap_or(i32::MAX).max(1));
        Some(OptionValue::number(number))
    }

    fn decode(value: OptionValue) -> Option<Duration> {
        let number = value.as_number().unsigned_abs();
        (number != 0).then(|| Duration::from_millis(number.into()))
    }
}

/// A name.
pub(in crate::net) struct Name;

impl Form for Name {
    type Given<'a> = &'a str;
    type Got = String;

    const ROOM: OptionValue = OptionValue::NAME;

    fn encode(name: &str) -> Option<OptionValue> {
        OptionValue::name(name)
    }

    fn decode(value: OptionValue) -> String {
        value.as_name()
    }
}

/// A name, or none.
pub(in crate::net) struct MaybeName;

impl Form for MaybeName {
    type Given<'a> = Option<&'a str>;
    type Got = Option<String>;

    const ROOM: OptionValue = OptionValue::NAME;

    fn encode(name: Option<&str>) -> Option<OptionValue> {
        OptionValue::name(name.unwrap_or_default())
    }

    fn decode(value: OptionValue) -> Option<String> {
        Some(value.as_name()).filter(|name| !name.is_empty())
    }
}

/// The methods that set and read an option, inside an `impl` of a type with a method `options`.
macro_rules! option_methods_of {
    ($(
        $(#[$attribute:meta])*
        $set:ident($value:ident: $given:ty), $get:ident -> $got:ty, $option:path;
    )+) => {$(
        $(#[$attribute])*
        pub fn $set(&self, $value: $given) -> std::io::Result<()> {
            $option.set(self.options()?.fd()?, $value)
        }

        #[doc = concat!("Returns what [`", stringify!($set), "`](Self::", stringify!($set), ") sets.")]
        ///
        /// # Errors
        ///
        /// The kernel's.
        pub fn $get(&self) -> std::io::Result<$got> {
            $option.get(self.options()?.fd()?)
        }
    )+};
}

pub(in crate::net) use option_methods_of;
