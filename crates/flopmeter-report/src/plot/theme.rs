//! Colours that those who see few of them tell apart: Okabe and Ito's (jfly.uni-koeln.de/color), those of them that stand
//! out from the ground. No series is told from another by its colour alone.

/// Red, green and blue.
pub type Colour = (u8, u8, u8);

/// The colours of a plot.
#[derive(Debug)]
pub struct Theme {
    pub ground: Colour,
    pub ink: Colour,
    /// Of what is less important: axes and what is said below the title.
    pub pale: Colour,
    pub grid: Colour,
    pub series: [Colour; 5],
}

const BLUE: Colour = (0, 114, 178);
const SKY_BLUE: Colour = (86, 180, 233);
const VERMILLION: Colour = (213, 94, 0);
const ORANGE: Colour = (230, 159, 0);
const GREEN: Colour = (0, 158, 115);
const PURPLE: Colour = (204, 121, 167);
const YELLOW: Colour = (240, 228, 66);

impl Theme {
    pub const LIGHT: Self = Self {
        ground: (255, 255, 255),
        ink: (20, 22, 26),
        pale: (88, 92, 100),
        grid: (225, 227, 231),
        series: [BLUE, VERMILLION, GREEN, PURPLE, ORANGE],
    };

    pub const DARK: Self = Self {
        ground: (17, 20, 24),
        ink: (236, 238, 241),
        pale: (165, 170, 178),
        grid: (48, 53, 61),
        series: [SKY_BLUE, ORANGE, GREEN, PURPLE, YELLOW],
    };

    /// The colour of a series.
    pub const fn colour(&self, at: usize) -> Colour {
        self.series[at % self.series.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::{Colour, Theme};

    /// Contrast of two colours by WCAG 2.1, from 1 to 21.
    fn contrast(one: Colour, other: Colour) -> f64 {
        let luminance = |(red, green, blue): Colour| {
            let linear = |part: u8| match f64::from(part) / 255.0 {
                part if part <= 0.04045 => part / 12.92,
                part => ((part + 0.055) / 1.055).powf(2.4),
            };
            0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
        };
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn all_stands_out_from_the_ground() {
        for theme in [Theme::LIGHT, Theme::DARK] {
            assert!(contrast(theme.ink, theme.ground) > 12.0);
            // Text has to have 4.5.
            assert!(contrast(theme.pale, theme.ground) > 4.5);
            for at in 0..5 {
                assert!(contrast(theme.colour(at), theme.ground) > 2.2, "{at} of {theme:?}");
            }
        }
    }
}
