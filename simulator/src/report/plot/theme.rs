//! What plots look like: colours and type, on light and on dark ground.
//!
//! The colours keep apart for people who see few of them, have at least 4.5:1 of contrast to the ground as text and 3:1
//! as lines, and nothing is told by colour alone.

/// What a plot stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// Light, for paper and PNG.
    Light,
    /// Whatever the reader prefers.
    Either,
}

#[derive(Clone, Copy)]
struct Colours {
    ground: &'static str,
    ink: &'static str,
    muted: &'static str,
    grid: &'static str,
    shade: &'static str,
    /// The fleet; and what differs from it.
    series: [&'static str; 4],
}

const LIGHT: Colours = Colours {
    ground: "#fffefb",
    ink: "#1d1c1a",
    muted: "#66635c",
    grid: "#e6e2d8",
    shade: "#f1eee5",
    series: ["#0b6e5f", "#b4490a", "#5650c8", "#7a5d00"],
};
const DARK: Colours = Colours {
    ground: "#1b1c1e",
    ink: "#ecebe7",
    muted: "#a5a29a",
    grid: "#35363a",
    shade: "#26272a",
    series: ["#52cdb4", "#f59b5c", "#a9a5ff", "#d9b84a"],
};

/// The rules for plots in a style sheet, for light and dark ground.
#[must_use]
pub(crate) fn rules() -> String {
    format!(
        "{}{}@media (prefers-color-scheme:dark){{{}}}",
        type_rules(),
        colour_rules(LIGHT),
        colour_rules(DARK)
    )
}

impl Ground {
    /// The style of a plot in a file of its own.
    #[must_use]
    pub(super) fn style(self) -> String {
        match self {
            Self::Light => format!("{}{}", type_rules(), colour_rules(LIGHT)),
            Self::Either => rules(),
        }
    }
}

fn type_rules() -> &'static str {
    "text{font-family:system-ui,-apple-system,\"Segoe UI\",\"Noto Sans\",\"DejaVu Sans\",\"Liberation Sans\",sans-serif}\
     .p-tick,.p-note,.p-name,.p-mark{font-size:12px}.p-small{font-size:11px}.p-head{font-size:17px;font-weight:600}\
     .p-value{font-size:13px;font-weight:600}\
     .p-line0,.p-line1,.p-line2,.p-line3,.p-thin,.p-faint{fill:none;stroke-linejoin:round;stroke-linecap:round}\
     .p-line0{stroke-width:2.25px}.p-line1,.p-line2,.p-line3{stroke-width:1.75px}.p-thin{stroke-width:1px}.p-faint{stroke-width:1px;opacity:.55}\
     .p-hit{fill:none;pointer-events:all}.p-dash{stroke-dasharray:6 4}.p-dot{stroke-dasharray:2 3}"
}

fn colour_rules(colours: Colours) -> String {
    let Colours { ground, ink, muted, grid, shade, series } = colours;
    let mut rules = format!(
        ".p-ground{{fill:{ground}}}.p-head,.p-value,.p-mark{{fill:{ink}}}.p-tick,.p-note,.p-name,.p-small{{fill:{muted}}}\
         .p-grid{{stroke:{grid}}}.p-axis{{stroke:{muted}}}.p-void,.p-shade{{fill:{shade}}}\
         .p-thin,.p-faint{{stroke:{muted}}}.p-open{{fill:none;stroke:{ink}}}"
    );
    for (index, colour) in series.iter().enumerate() {
        rules += &format!(
            ".p-line{index}{{stroke:{colour}}}.p-fill{index}{{fill:{colour}}}.p-soft{index}{{fill:{colour};fill-opacity:.22;stroke:{colour};stroke-width:.75px}}.p-text{index}{{fill:{colour};font-size:12px;font-weight:600}}"
        );
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance as WCAG 2 defines it.
    fn luminance(colour: &str) -> f64 {
        let part = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            // A polynomial that is within 0.003 of the sRGB curve.
            value * (value * (value * 0.305_306_011 + 0.682_171_111) + 0.012_522_878)
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_and_lines_stand_out() {
        for colours in [LIGHT, DARK] {
            let text = [colours.ink, colours.muted].into_iter().chain(colours.series);
            for colour in text {
                for ground in [colours.ground, colours.shade] {
                    let contrast = contrast(colour, ground);
                    assert!(contrast >= 4.5, "{colour} on {ground}: {contrast:.2}");
                }
            }
        }
    }
}
