//! A file under random reads and writes, compared with a model of it in memory.

use annulus::buf::BufResult;
use annulus::fs::{AllocateMode, Chain, File, OpenOptions, TempFile};

use super::Outcome;
use crate::bytes::Bytes;
use crate::cancel::{insist, perhaps};
use crate::chance::Chance;
use crate::failure::{Failure, expect};
use crate::site::Site;
use crate::tally::Work;

/// The most bytes of a file.
const MOST: usize = 256 * 1024;

pub(super) async fn round(site: &Site, chance: &Chance) -> Outcome {
    let temporary = TempFile::new_in(&site.shared.directory).await?;
    let path = temporary.path().to_owned();
    let options = {
        let mut options = OpenOptions::new();
        options.read(true).write(true).direct_descriptor(chance.one_in(2));
        options
    };
    let file = insist(chance, async || options.open(&path).await).await?;
    let mut work = Model { file, model: Vec::new(), checked: 0, operations: 0 };
    for _ in 0..chance.size(60) {
        work.step(site, chance).await?;
    }
    work.compare_whole(&path, chance).await?;
    let Model { file, checked, operations, .. } = work;
    if chance.one_in(2) {
        file.close().await?;
    } else {
        drop(file);
    }
    if chance.one_in(2) {
        temporary.close().await?;
    } else {
        let kept = site.new_path("kept");
        let file = temporary.persist(&kept).await.map_err(Failure::error)?;
        drop(file);
        annulus::fs::remove_file(&kept).await?;
    }
    Ok(Work::new(operations, checked))
}

struct Model {
    file: File,
    model: Vec<u8>,
    checked: usize,
    operations: usize,
}

impl Model {
    async fn step(&mut self, site: &Site, chance: &Chance) -> Result<(), Failure> {
        self.operations += 1;
        chance.here();
        let offset = chance.below(MOST / 2);
        let bytes = Bytes { seed: chance.seed() }.at(0, chance.size(64 * 1024));
        match chance.below(14) {
            0 | 1 => {
                self.file.write_all_at(bytes.clone(), offset as u64).await.0?;
                self.write(offset, &bytes);
            }
            2 => {
                self.file.write_all_at(bytes.clone(), offset as u64).then_sync_data().await.0?;
                self.write(offset, &bytes);
            }
            3 => {
                let pieces = bytes.chunks(bytes.len().div_ceil(5).max(1)).map(<[u8]>::to_vec);
                self.file.write_all_vectored_at(pieces.collect(), offset as u64).await.0?;
                self.write(offset, &bytes);
            }
            4 => {
                let length = self.model.len();
                let second = bytes.clone();
                let chain = self.file.chain().write_all_at(bytes.clone(), length as u64);
                let chain = chain.write_all_at(second, offset as u64).sync_data();
                let chain = chain.read_at(Vec::with_capacity(100), offset as u64);
                let (BufResult(first, _), BufResult(second, _), synced, BufResult(read, start)) =
                    chain.run().await;
                first.and(second).and(synced).and(read)?;
                self.write(length, &bytes);
                self.write(offset, &bytes);
                self.check(offset, &start, 100)?;
            }
            5 => {
                let mut buffer = site.buffers.get().await;
                buffer.extend_from_slice(&bytes[..bytes.len().min(site.buffers.buffer_size())]);
                let written = buffer.to_vec();
                self.file.write_all_at(buffer, offset as u64).await.0?;
                self.write(offset, &written);
            }
            6 => {
                let length = chance.size(MOST);
                self.file.set_len(length as u64).await?;
                self.model.resize(length, 0);
            }
            7 => {
                self.file.allocate(offset as u64, bytes.len() as u64).await?;
                let end = offset + bytes.len();
                self.model.resize(self.model.len().max(end), 0);
            }
            8 => {
                let length = bytes.len() as u64;
                let punched =
                    self.file.allocate_with(AllocateMode::PunchHole, offset as u64, length).await;
                match punched {
                    Ok(()) => {
                        let end = (offset + bytes.len()).min(self.model.len());
                        self.model.get_mut(offset..end).unwrap_or_default().fill(0);
                    }
                    // Not every file system can.
                    Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {}
                    Err(error) => return Err(error.into()),
                }
            }
            9 => self.file.sync_all().await?,
            10 => {
                let buffer = insist(chance, async || {
                    self.file.read_at(site.buffers.get().await, offset as u64).await
                });
                let (count, buffer) = buffer.await.into_result()?;
                self.check(offset, &buffer[..count], site.buffers.buffer_size())?;
            }
            11 => {
                let pieces = || (0..4).map(|_| Vec::with_capacity(3000)).collect::<Vec<_>>();
                let read = insist(chance, async || {
                    self.file.read_vectored_at(pieces(), offset as u64).await
                });
                let (_, pieces) = read.await.into_result()?;
                self.check(offset, &pieces.concat(), 12_000)?;
            }
            _ => {
                let length = chance.size(64 * 1024);
                let read = insist(chance, async || {
                    self.file.read_at(Vec::with_capacity(length), offset as u64).await
                });
                let (_, bytes) = read.await.into_result()?;
                self.check(offset, &bytes, length)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        self.model.resize(self.model.len().max(end), 0);
        self.model[offset..end].copy_from_slice(bytes);
    }

    /// Compares with the model what a read of `wanted` bytes at an offset has returned.
    ///
    /// A read may be short, but is at the end of the file only.
    fn check(&mut self, offset: usize, read: &[u8], wanted: usize) -> Result<(), Failure> {
        let there = self.model.get(offset..).unwrap_or_default();
        if read.len() > there.len().min(wanted) || (read.is_empty() && !there.is_empty()) {
            let text = format!("{} bytes at {offset} of {}", read.len(), self.model.len());
            return Err(Failure::Corruption(text));
        }
        if *read != there[..read.len()] {
            return Err(Failure::Corruption(format!("other bytes at {offset} of a file")));
        }
        self.checked += read.len();
        Ok(())
    }

    /// Reads all of it, in one of several ways.
    async fn compare_whole(
        &mut self,
        path: &std::path::Path,
        chance: &Chance,
    ) -> Result<(), Failure> {
        let content = match chance.below(4) {
            0 => insist(chance, async || annulus::fs::read(path).await).await?,
            1 => {
                let mut file = File::open(path).await?;
                let mut content = Vec::new();
                loop {
                    let lease = insist(chance, async || file.recv().await).await?;
                    if lease.is_empty() {
                        break content;
                    }
                    content.extend_from_slice(&lease);
                }
            }
            2 => {
                let chain = Chain::open(path, OpenOptions::new().read(true));
                let buffer = Vec::with_capacity(2 * MOST);
                let (opened, BufResult(count, content), closed) =
                    chain.read_at(buffer, 0).close().await;
                opened.and(count)?;
                closed?;
                content
            }
            _ => {
                let copy = path.with_extension("copy");
                annulus::fs::copy(path, &copy).await?;
                let content = annulus::fs::read(&copy).await?;
                // A dropped removal may have been done.
                let removed = perhaps(chance, annulus::fs::remove_file(&copy)).await;
                if removed.is_none() {
                    let _ = annulus::fs::remove_file(&copy).await;
                }
                content
            }
        };
        expect("the length of a file", &content.len(), &self.model.len())?;
        self.check(0, &content, usize::MAX)?;
        self.append(path, chance).await
    }

    /// Appends through a descriptor of its own, and finds it at the end.
    async fn append(&mut self, path: &std::path::Path, chance: &Chance) -> Result<(), Failure> {
        let file = OpenOptions::new().append(true).open(path).await?;
        let start = self.model.len();
        for _ in 0..chance.size(5) {
            let bytes = Bytes { seed: chance.seed() }.at(0, chance.size(2000));
            file.append(bytes.clone()).await.0?;
            self.write(self.model.len(), &bytes);
            self.operations += 1;
        }
        let appended = self.file.read_at(Vec::with_capacity(16 * 1024), start as u64).await;
        self.check(start, &appended.into_result()?.1, 16 * 1024)
    }
}
