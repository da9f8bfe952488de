//! vision: address events of a camera (or of a silicon cochlea), brought to the channels and ticks of the chip.
//!
//! An event camera tells of each pixel that became brighter (ON) or darker (OFF), and when. [`Retina`] makes the picture
//! coarser (rows and columns of a grid laid over the sensor) and time too (bins), and sends at most one event a bin for
//! each cell and polarity: what a chip that takes a channel once a tick can hear. It holds one bin. Before it, [`upright`] may take
//! out of a whole recording how somebody wrote.

use alloc::vec::Vec;

use reckon::Event;

use crate::limits::CHANNELS_MAX;
use crate::sample::Sample;

pub mod upright;

/// What a pixel of the camera said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// When, in microseconds from the beginning of the sample.
    pub us: u32,
    /// Column, from 0.
    pub x: u16,
    /// Row, from 0.
    pub y: u16,
    /// Whether it became brighter.
    pub on: bool,
}

/// How a camera's picture becomes channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Columns and rows of the sensor; what lies outside is not seen.
    pub sensor: (u16, u16),
    /// Columns and rows of cells.
    pub cells: (u16, u16),
    /// Whether ON and OFF have channels of their own (ON first), or share one.
    pub polarities: bool,
    /// Length of a tick in microseconds.
    pub tick_us: u32,
    /// Ticks of every sample; what is later is not seen.
    pub ticks: u32,
}

impl Grid {
    /// N-MNIST, three saccades of 0.1 s, set upright: 11 x 11 cells x 2 polarities = 242 channels, 103 ticks of 3 ms.
    pub const NMNIST: Self = Self {
        sensor: (upright::PIXELS, upright::PIXELS),
        cells: (11, 11),
        polarities: true,
        tick_us: 3_000,
        ticks: 103,
    };
    /// DVS128 Gesture as 11 x 11 cells x 2 polarities, 150 ticks of 10 ms.
    pub const GESTURE: Self =
        Self { sensor: (128, 128), cells: (11, 11), polarities: true, tick_us: 10_000, ticks: 150 };

    /// Spiking Heidelberg Digits, 700 units of an artificial cochlea in a row, as 140 channels, 250 ticks of 5 ms.
    pub const SHD: Self =
        Self { sensor: (700, 1), cells: (140, 1), polarities: false, tick_us: 5_000, ticks: 250 };

    /// Input channels; `None` where the chip has not so many, or there is no cell, no pixel or no time.
    #[must_use]
    pub fn channels(&self) -> Option<u16> {
        let Self { sensor, cells, polarities, tick_us, ticks } = *self;
        let cells = cells.0.checked_mul(cells.1)?;
        let channels = cells.checked_mul(if polarities { 2 } else { 1 })?;
        let some = channels > 0 && sensor.0 > 0 && sensor.1 > 0 && tick_us > 0 && ticks > 0;
        Some(channels).filter(|&channels| some && channels <= CHANNELS_MAX)
    }

    /// The channel and tick of a change, if it is seen.
    #[must_use]
    pub fn place(&self, change: Change) -> Option<Event> {
        let tick = change.us.checked_div(self.tick_us).filter(|&tick| tick < self.ticks)?;
        let cell = |at: u16, pixels: u16, cells: u16| {
            let inside = at < pixels;
            inside.then(|| u32::from(at) * u32::from(cells) / u32::from(pixels))
        };
        let column = cell(change.x, self.sensor.0, self.cells.0)?;
        let row = cell(change.y, self.sensor.1, self.cells.1)?;
        let (columns, rows) = (u32::from(self.cells.0), u32::from(self.cells.1));
        let group = if self.polarities && !change.on { columns * rows } else { 0 };
        let address = u8::try_from(group + row * columns + column).ok()?;
        Some(Event { tick, address })
    }
}

/// Sees one sample, change after change in the order of time.
#[derive(Debug, Clone)]
pub struct Retina {
    grid: Grid,
    tick: u32,
    /// A bit for each channel that has spoken in this tick.
    seen: [u64; 4],
    events: Vec<Event>,
}

impl Retina {
    /// A retina before its first change.
    #[must_use]
    pub const fn new(grid: Grid) -> Self {
        Self { grid, tick: 0, seen: [0; 4], events: Vec::new() }
    }

    /// Sees a change. One that is earlier than the tick at hand counts as of that tick.
    pub fn see(&mut self, change: Change) {
        let Some(Event { tick, address }) = self.grid.place(change) else { return };
        if tick > self.tick {
            self.flush();
            self.tick = tick;
        }
        self.seen[usize::from(address >> 6)] |= 1 << (address & 63);
    }

    /// Ends the sample: learning from a share of its ticks on, and voting in its second half. The retina is as new.
    pub fn end(&mut self, label: u8) -> Sample {
        self.flush();
        let ticks = self.grid.ticks;
        let events = core::mem::take(&mut self.events);
        *self = Self::new(self.grid);
        let learn = u32::try_from(u64::from(ticks) * 3 / 10).unwrap_or(0);
        Sample { events, ticks, label, target_valid: learn..ticks, infer_acc: ticks / 2..ticks }
    }

    fn flush(&mut self) {
        for (word, base) in self.seen.iter_mut().zip([0_u8, 64, 128, 192]) {
            while *word != 0 {
                let bit = u8::try_from(word.trailing_zeros()).unwrap_or(0);
                self.events.push(Event { tick: self.tick, address: base + bit });
                *word &= *word - 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    const GRID: Grid =
        Grid { sensor: (10, 10), cells: (2, 3), polarities: true, tick_us: 100, ticks: 5 };

    fn change(us: u32, x: u16, y: u16, on: bool) -> Change {
        Change { us, x, y, on }
    }

    #[test]
    fn pixels_fall_into_cells_and_polarities() {
        let place = |x, y, on| GRID.place(change(0, x, y, on)).map(|event| event.address);
        // 10 pixels to 2 columns: 0-4, 5-9. To 3 rows: 0-3, 4-6, 7-9.
        assert_eq!(place(0, 0, true), Some(0));
        assert_eq!(place(5, 3, true), Some(1));
        assert_eq!(place(4, 4, true), Some(2));
        assert_eq!(place(9, 9, true), Some(5));
        assert_eq!(place(0, 0, false), Some(6));
        assert_eq!(place(9, 9, false), Some(11));
        assert_eq!([place(10, 0, true), place(0, 10, true)], [None, None]);
        let merged = Grid { polarities: false, ..GRID };
        assert_eq!(merged.place(change(0, 9, 9, false)), Some(Event { tick: 0, address: 5 }));
    }

    #[test]
    fn a_channel_speaks_once_a_tick() {
        let mut retina = Retina::new(GRID);
        for (us, x, on) in
            [(10, 9, true), (20, 0, true), (99, 0, true), (100, 0, true), (450, 0, false)]
        {
            retina.see(change(us, x, 0, on));
        }
        retina.see(change(500, 0, 0, true));
        let sample = retina.end(7);
        let events: Vec<(u32, u8)> =
            sample.events.iter().map(|event| (event.tick, event.address)).collect();
        assert_eq!(events, vec![(0, 0), (0, 1), (1, 0), (4, 6)]);
        assert_eq!(
            (sample.ticks, sample.label, sample.target_valid, sample.infer_acc),
            (5, 7, 1..5, 2..5)
        );
        assert!(retina.end(0).events.is_empty(), "as new");
    }

    #[test]
    fn what_is_too_early_counts_now() {
        let mut retina = Retina::new(GRID);
        retina.see(change(200, 0, 0, true));
        retina.see(change(100, 9, 9, true));
        let ticks: Vec<u32> = retina.end(0).events.iter().map(|event| event.tick).collect();
        assert_eq!(ticks, [2, 2]);
    }

    #[test]
    fn a_grid_must_fit_the_chip() {
        assert_eq!(Grid::NMNIST.channels(), Some(242));
        assert_eq!(Grid::GESTURE.channels(), Some(242));
        assert_eq!(Grid::SHD.channels(), Some(140));
        assert_eq!(Grid { cells: (16, 16), polarities: false, ..GRID }.channels(), Some(256));
        assert_eq!(Grid { cells: (16, 16), ..GRID }.channels(), None);
        assert_eq!(Grid { cells: (0, 3), ..GRID }.channels(), None);
        assert_eq!(Grid { tick_us: 0, ..GRID }.channels(), None);
        assert_eq!(Grid { tick_us: 0, ..GRID }.place(change(0, 0, 0, true)), None);
        let last = Grid { cells: (16, 16), polarities: false, ..GRID }.place(change(0, 9, 9, true));
        assert!(last.is_some());
    }
}
