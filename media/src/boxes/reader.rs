//! A cursor over boxes within a byte slice: offsets stay absolute, so fields found can be patched.

use std::ops::Range;

use super::{BoxError, Result};

/// A box: its type and where its payload lies in the bytes it was read from.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) kind: [u8; 4],
    pub(super) start: usize,
    pub(super) body: Range<usize>,
}

/// Reads fields and boxes of `bytes[range]`, front to back.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], range: Range<usize>) -> Reader<'a> {
        let end = range.end.min(bytes.len());
        Reader {
            bytes,
            at: range.start.min(end),
            end,
        }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn rest(&self) -> Range<usize> {
        self.at..self.end
    }

    pub(super) fn skip(&mut self, what: &'static str, count: usize) -> Result<()> {
        self.take(what, count).map(|_| ())
    }

    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8> {
        Ok(self.array::<1>(what)?[0])
    }

    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16> {
        self.array(what).map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32> {
        self.array(what).map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self, what: &'static str) -> Result<u64> {
        self.array(what).map(u64::from_be_bytes)
    }

    pub(super) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(what, N)?);
        Ok(array)
    }

    /// Version and flags of a full box.
    pub(super) fn version_flags(&mut self, what: &'static str) -> Result<(u8, u32)> {
        let word = self.u32(what)?;
        Ok(((word >> 24) as u8, word & 0x00ff_ffff))
    }

    /// The next box, `None` at the end.
    pub(super) fn next_box(&mut self) -> Result<Option<Found>> {
        if self.at == self.end {
            return Ok(None);
        }
        let start = self.at;
        let mut size = u64::from(self.u32("box header")?);
        let kind = self.array("box header")?;
        if size == 1 {
            size = self.u64("box header")?;
        } else if size == 0 {
            size = (self.end - start) as u64;
        }
        let header = (self.at - start) as u64;
        if size < header {
            return Err(BoxError::Size {
                offset: start,
                size,
            });
        }
        let fits = usize::try_from(size)
            .ok()
            .filter(|&size| size <= self.end - start);
        let Some(size) = fits else {
            return Err(BoxError::Truncated {
                what: "box",
                offset: start,
                end: self.end,
            });
        };
        let body = self.at..start + size;
        self.at = body.end;
        Ok(Some(Found { kind, start, body }))
    }

    /// The only box of that kind among the rest.
    pub(super) fn only(&self, kind: &'static str, within: &'static str) -> Result<Found> {
        let mut reader = self.clone();
        let mut only = None;
        while let Some(found) = reader.next_box()? {
            if found.kind == *kind.as_bytes() && only.replace(found).is_some() {
                return Err(BoxError::Repeated { what: kind, within });
            }
        }
        only.ok_or(BoxError::Missing { what: kind, within })
    }

    fn take(&mut self, what: &'static str, count: usize) -> Result<&'a [u8]> {
        if count > self.end - self.at {
            return Err(BoxError::Truncated {
                what,
                offset: self.at,
                end: self.end,
            });
        }
        let taken = &self.bytes[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }
}
