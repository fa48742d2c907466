//! Finding a segment's records again: from its footer, or block by block where it has none.
//!
//! Reads only. What is found is what the files say; which record of a name counts is for the caller to decide.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::SeekFrom;
use twox_hash::XxHash3_128;

use super::record::{DEAD_MARK, FIXED_BYTES, RecordHeader, RecordView};
use super::segment::{Kind, Segment};
use super::{BLOCK, BLOCK_BYTES, blocks, footer};

/// What a segment holds.
#[derive(Debug, Default)]
pub struct Replay {
    /// The records that were found, each with its first block, in the order they lie in.
    pub records: Vec<(RecordHeader, u32)>,
    /// Records that are there from end to end and not whole.
    pub damaged: u64,
    /// The first block behind the last record.
    pub tail_block: u32,
    /// True when a footer listed the records.
    pub had_footer: bool,
    /// True when there are records of a version newer than this larder knows: the file is to be left alone.
    pub newer: bool,
}

/// Lists the records of `segment`. Without a footer, the bodies of records from `verify_from` (a block) on are
/// checked: those may have been torn when the process died.
///
/// # Errors
/// Those of the disk. Damage is not an error.
pub fn replay(segment: &Segment, verify_from: u32) -> io::Result<Replay> {
    segment.with_file(|file| match segment.kind() {
        Kind::Solo => replay_solo(file, segment),
        Kind::Shared => match footer::read(file)? {
            Some((salt, entries)) => replay_footer(file, salt, &entries),
            None => scan(file, segment.salt(), verify_from),
        },
    })
}

fn replay_solo(file: &File, segment: &Segment) -> io::Result<Replay> {
    let mut found = Replay { had_footer: true, ..Replay::default() };
    let length = file.metadata()?.len();
    let mut buffer = vec![0; usize::try_from(length.min(BLOCK)).unwrap_or(BLOCK_BYTES)];
    file.read_exact_at(&mut buffer, 0)?;
    let view = RecordView::parse(&buffer, segment.salt(), Some(0));
    match view.and_then(|view| view.to_header()) {
        Some(header) if header.record_len() <= length => {
            found.records.push((header, 0));
        }
        Some(_) => found.damaged += 1,
        None if RecordView::is_newer(&buffer, segment.salt(), 0) => found.newer = true,
        // The header is written last: without one the upload never ended.
        None => found.damaged += u64::from(buffer.len() >= FIXED_BYTES && !buffer.starts_with(&DEAD_MARK)),
    }
    Ok(found)
}

/// Takes the footer's word for every record whose header still has its blocks.
fn replay_footer(file: &File, salt: u64, entries: &[u8]) -> io::Result<Replay> {
    let mut found = Replay { had_footer: true, tail_block: 1, ..Replay::default() };
    let ranges = data_ranges(file)?;
    let mut at = 0;
    let mut entries = footer::Entries::new(entries, salt);
    for view in &mut entries {
        let block = view.block();
        let offset = u64::from(block) * BLOCK;
        while ranges.get(at).is_some_and(|range| range.end <= offset) {
            at += 1;
        }
        if !ranges.get(at).is_some_and(|range| range.contains(&offset)) {
            continue;
        }
        if let Some(header) = view.to_header() {
            found.tail_block = block.saturating_add(record_blocks(&header));
            found.records.push((header, block));
        }
    }
    found.newer = !entries.all_known();
    Ok(found)
}

fn scan(file: &File, mut salt: Option<u64>, verify_from: u32) -> io::Result<Replay> {
    let mut found = Replay { tail_block: 1, ..Replay::default() };
    let length = match footer::records_end(file)? {
        Some(end) => end,
        None => file.metadata()?.len(),
    };
    let mut buffer = vec![0; BLOCK_BYTES];
    let mut block = 1;
    let mut data = 0..0;
    // True where a record begins, or nothing was written.
    let mut at_start = true;
    while u64::from(block) * BLOCK < length {
        let offset = u64::from(block) * BLOCK;
        if offset >= data.end {
            let Some(range) = next_data(file, offset)? else { break };
            data = range;
            block = u32::try_from(data.start.max(offset) / BLOCK).unwrap_or(u32::MAX);
            at_start &= data.start <= offset;
            if block == u32::MAX {
                break;
            }
            continue;
        }
        let read = read_up_to(file, &mut buffer, offset)?;
        let Some(header) = RecordView::parse(&buffer[..read], salt, Some(block)).and_then(|view| {
            salt = Some(view.salt());
            view.to_header()
        }) else {
            if is_footer(&buffer[..read], salt) {
                break;
            }
            let is_newer = RecordView::is_newer(&buffer[..read], salt, block);
            found.newer |= is_newer;
            // A write that never ended may have stopped in the file's last block only.
            let is_no_loss = is_newer || buffer.starts_with(&DEAD_MARK) || offset + BLOCK > length;
            found.damaged += u64::from(at_start && block >= verify_from && !is_no_loss);
            at_start = false;
            block += 1;
            continue;
        };
        // A record's length is believed even where its body is not: its header's checksum says so.
        let next = block.saturating_add(record_blocks(&header)).max(block + 1);
        if block < verify_from || body_is_whole(file, &header, block)? {
            found.tail_block = next;
            found.records.push((header, block));
            block = next;
            at_start = true;
        } else {
            // Where the file ends inside the record, the process died while it wrote it: nothing was lost.
            found.damaged += u64::from(header.location(0, block).end() <= length);
            at_start = false;
            block += 1;
        }
    }
    Ok(found)
}

/// True when `bytes` are the beginning of a footer whose end is lost: it begins with a copy of a header.
fn is_footer(bytes: &[u8], salt: Option<u64>) -> bool {
    salt.is_some() && RecordView::parse(bytes, salt, None).is_some()
}

/// True when the record's header is still on disk: a deleted record's is not, though the footer lists it.
///
/// # Errors
/// Those of the disk.
pub fn header_is_there(segment: &Segment, header: &RecordHeader, block: u32) -> io::Result<bool> {
    let mut buffer = vec![0; usize::from(header.encoded_len())];
    let read = segment.with_file(|file| read_up_to(file, &mut buffer, u64::from(block) * BLOCK))?;
    let view = RecordView::parse(&buffer[..read], segment.salt(), Some(block));
    Ok(view.is_some_and(|view| view.is(&header.name, header.sequence)))
}

fn record_blocks(header: &RecordHeader) -> u32 {
    u32::try_from(blocks(header.record_len())).unwrap_or(u32::MAX)
}

fn body_is_whole(file: &File, header: &RecordHeader, block: u32) -> io::Result<bool> {
    let location = header.location(0, block);
    let checksum = body_checksum(file, location.body_offset(), location.body_len)?;
    Ok(checksum == Some(header.body_checksum))
}

/// XXH3-128 of `length` bytes of `file` from `offset`; `None` where the file is shorter.
///
/// # Errors
/// Those of the disk.
pub fn body_checksum(file: &File, mut offset: u64, mut length: u64) -> io::Result<Option<u128>> {
    const CHUNK: usize = 128 << 10;
    let mut buffer = vec![0; usize::try_from(length).unwrap_or(CHUNK).min(CHUNK)];
    let mut hasher = XxHash3_128::new();
    while length > 0 {
        let want = usize::try_from(length).unwrap_or(usize::MAX).min(buffer.len());
        let read = read_up_to(file, &mut buffer[..want], offset)?;
        if read < want {
            return Ok(None);
        }
        hasher.write(&buffer[..want]);
        offset += want as u64;
        length -= want as u64;
    }
    Ok(Some(hasher.finish_128()))
}

/// Reads until `buffer` is full or the file ends.
fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// The parts of `file` that have blocks.
///
/// # Errors
/// Those of `lseek`.
pub fn data_ranges(file: &File) -> io::Result<Vec<std::ops::Range<u64>>> {
    let mut ranges = Vec::new();
    let mut offset = 0;
    while let Some(range) = next_data(file, offset)? {
        offset = range.end;
        ranges.push(range);
    }
    Ok(ranges)
}

/// True when `file` has no blocks at `offset`: what was there is freed.
///
/// # Errors
/// Those of `lseek`.
pub fn is_hole(file: &File, offset: u64) -> io::Result<bool> {
    Ok(next_data(file, offset)?.is_none_or(|data| data.start > offset))
}

fn next_data(file: &File, offset: u64) -> io::Result<Option<std::ops::Range<u64>>> {
    let start = match rustix::fs::seek(file, SeekFrom::Data(offset)) {
        Ok(start) => start,
        Err(rustix::io::Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let end = rustix::fs::seek(file, SeekFrom::Hole(start))?;
    Ok((end > start).then_some(start..end))
}
