//! The small picture in a mail: the closes of the bars around a firing, and the firing itself. Dark on light, as mail is read.
//!
//! What is drawn may be rounded; nothing is decided by it.

use std::convert::Infallible;

use bellwether_core::{
    notification::About,
    price::Price,
    tick::Candle,
    time::{Span, Timestamp},
};
use embedded_graphics::{
    Drawable as _, Pixel,
    draw_target::DrawTarget,
    geometry::{Dimensions as _, OriginDimensions, Point, Size},
    mono_font::{MonoTextStyle, ascii::FONT_7X13},
    pixelcolor::{Rgb888, RgbColor as _, WebColors as _},
    primitives::{Circle, Line, Polyline, Primitive as _, PrimitiveStyle, Rectangle},
    text::{Alignment, Baseline, Text, TextStyleBuilder},
};
use jiff::tz::TimeZone;

/// Width and height in pixels.
pub(super) const SIZE: (u32, u32) = (480, 200);
/// How much of the past it shows, and how much of what came after.
pub(super) const AROUND: (Span, Span) = (Span::from_seconds(3 * 3600), Span::from_seconds(600));
/// Left, top, right and bottom of the plot.
const PLOT: (i32, i32, i32, i32) = (8, 10, 396, 176);
/// The fewest bars that make a picture.
const FEWEST: usize = 2;

/// The picture as PNG; none where too little is known to draw one.
pub(super) fn png(bars: &[Candle], about: &About, timezone: Option<&str>) -> Option<Vec<u8>> {
    let canvas = draw(bars, about, timezone)?;
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, SIZE.0, SIZE.1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header().and_then(|mut writer| writer.write_image_data(&canvas.pixels)).ok()?;
    Some(bytes)
}

fn draw(bars: &[Candle], about: &About, timezone: Option<&str>) -> Option<Canvas> {
    let (first, last) = (bars.first()?, bars.last()?);
    let prices = || bars.iter().flat_map(|bar| [bar.low, bar.high]).chain(about.price);
    let (low, high) = (prices().min()?, prices().max()?);
    if bars.len() < FEWEST || last.to <= first.from {
        return None;
    }
    let (left, top, right, bottom) = PLOT;
    let across = |time: Timestamp| {
        let (at, all) = (time.since(first.from).as_millis(), last.to.since(first.from).as_millis());
        let at = at.clamp(0, all).saturating_mul(i64::from(right - left)) / all.max(1);
        left + i32::try_from(at).unwrap_or(0)
    };
    let (bottom_value, range) = (height(low), height(high) - height(low));
    #[expect(clippy::cast_possible_truncation, reason = "within the plot")]
    let up = |price: Price| {
        let part = if range > 0.0 { (height(price) - bottom_value) / range } else { 0.5 };
        bottom - (part.clamp(0.0, 1.0) * f64::from(bottom - top)).round() as i32
    };

    let mut canvas = Canvas::new();
    let frame = PrimitiveStyle::with_stroke(Rgb888::CSS_LIGHT_GRAY, 1);
    let corners = Rectangle::with_corners(Point::new(left, top), Point::new(right, bottom));
    done(corners.into_styled(frame).draw(&mut canvas));
    for bar in bars {
        let x = across(bar.from);
        let wick = Line::new(Point::new(x, up(bar.low)), Point::new(x, up(bar.high)));
        done(wick.into_styled(PrimitiveStyle::with_stroke(Rgb888::CSS_LIGHT_STEEL_BLUE, 1)).draw(&mut canvas));
    }
    let closes: Vec<Point> = bars.iter().map(|bar| Point::new(across(bar.to), up(bar.close))).collect();
    let line = PrimitiveStyle::with_stroke(Rgb888::CSS_MIDNIGHT_BLUE, 2);
    done(Polyline::new(&closes).into_styled(line).draw(&mut canvas));

    let ink = MonoTextStyle::new(&FONT_7X13, Rgb888::CSS_DIM_GRAY);
    let beside = TextStyleBuilder::new().baseline(Baseline::Middle).build();
    let label = |price: Price| price.grouped(price.natural_places());
    let mut marked = None;
    if let Some(price) = about.price {
        let (x, y) = (across(about.time), up(price));
        for dash in (left..right).step_by(8) {
            let dash = Line::new(Point::new(dash, y), Point::new(dash + 3, y));
            done(dash.into_styled(PrimitiveStyle::with_stroke(Rgb888::CSS_CRIMSON, 1)).draw(&mut canvas));
        }
        let spot = Circle::with_center(Point::new(x, y), 9);
        done(spot.into_styled(PrimitiveStyle::with_fill(Rgb888::CSS_CRIMSON)).draw(&mut canvas));
        let red = MonoTextStyle::new(&FONT_7X13, Rgb888::CSS_CRIMSON);
        done(Text::with_text_style(&label(price), Point::new(right + 5, y), red, beside).draw(&mut canvas));
        marked = Some(y);
    }
    for price in [high, low] {
        let y = up(price);
        // The firing's own price matters more than an edge that it would cover.
        if marked.is_none_or(|marked| (marked - y).abs() > 13) {
            done(Text::with_text_style(&label(price), Point::new(right + 5, y), ink, beside).draw(&mut canvas));
        }
    }
    let zone = timezone.and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC);
    let clock = |time: Timestamp| time.to_jiff().to_zoned(zone.clone()).strftime("%H:%M").to_string();
    for (time, x, alignment) in [(first.from, left, Alignment::Left), (last.to, right, Alignment::Right)] {
        let style = TextStyleBuilder::new().baseline(Baseline::Top).alignment(alignment).build();
        done(Text::with_text_style(&clock(time), Point::new(x, bottom + 4), ink, style).draw(&mut canvas));
    }
    Some(canvas)
}

/// A price as a height, rounded: for the eye alone.
fn height(price: Price) -> f64 {
    price.to_string().parse().unwrap_or_default()
}

/// Drawing into memory cannot fail.
#[expect(clippy::needless_pass_by_value, reason = "what was drawn is done with")]
fn done<T>(drawn: Result<T, Infallible>) {
    let Ok(_) = drawn;
}

/// Red, green and blue of each pixel, row by row.
struct Canvas {
    pixels: Vec<u8>,
}

impl Canvas {
    fn new() -> Self {
        Self { pixels: vec![u8::MAX; SIZE.0 as usize * SIZE.1 as usize * 3] }
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(SIZE.0, SIZE.1)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        let inside = self.bounding_box();
        for Pixel(point, color) in pixels {
            if inside.contains(point)
                && let (Ok(x), Ok(y)) = (usize::try_from(point.x), usize::try_from(point.y))
            {
                let at = (y * SIZE.0 as usize + x) * 3;
                self.pixels[at..at + 3].copy_from_slice(&[color.r(), color.g(), color.b()]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bellwether_core::alert::{AlertId, UserId};

    use super::*;

    fn price(text: &str) -> Price {
        text.parse().expect("a price")
    }

    fn bars(closes: &[&str]) -> Vec<Candle> {
        let minute = |n: usize| Timestamp::from_seconds(60 * i64::try_from(n).expect("small"));
        let bar = |(n, close): (usize, &&str)| Candle {
            from: minute(n),
            to: minute(n + 1),
            open: price(close),
            high: price(close),
            low: price(close),
            close: price(close),
            session: bellwether_core::tick::Session::default(),
            volume: None,
        };
        closes.iter().enumerate().map(bar).collect()
    }

    fn about(at: Option<&str>) -> About {
        About {
            alert: AlertId(1),
            owner: UserId(1),
            symbol: "BTC".parse().expect("a symbol"),
            time: Timestamp::from_seconds(120),
            price: at.map(price),
        }
    }

    fn red(canvas: &Canvas) -> Vec<(usize, usize)> {
        let crimson = [Rgb888::CSS_CRIMSON.r(), Rgb888::CSS_CRIMSON.g(), Rgb888::CSS_CRIMSON.b()];
        let pixels = canvas.pixels.chunks(3).enumerate().filter(|(_, rgb)| *rgb == crimson);
        pixels.map(|(at, _)| (at % SIZE.0 as usize, at / SIZE.0 as usize)).collect()
    }

    #[test]
    fn the_firing_is_marked_where_and_when_it_happened() {
        let canvas = draw(&bars(&["1", "2", "3", "4"]), &about(Some("4")), None).expect("a picture");
        let marked = red(&canvas);
        // At the top, because 4 is the highest price, and half way across.
        assert!(marked.contains(&(202, 10)) && marked.contains(&(204, 12)), "{marked:?}");
        assert!(marked.iter().all(|(_, y)| *y < 20), "{marked:?}");
    }

    #[test]
    fn it_is_a_png_and_the_same_every_time() {
        let draw = || png(&bars(&["60000", "60010.5", "59990"]), &about(Some("60010.5")), Some("Europe/Berlin"));
        let bytes = draw().expect("a picture");
        assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n") && bytes.len() < 20_000, "{}", bytes.len());
        assert_eq!(draw(), Some(bytes));
    }

    #[test]
    fn odd_prices_make_a_picture_or_none_but_no_panic() {
        assert_eq!(png(&[], &about(None), None), None);
        assert_eq!(png(&bars(&["1"]), &about(None), None), None);
        for closes in [["5", "5", "5"], ["0.00000001", "9999999999", "1"], ["-3", "0", "3"]] {
            assert!(png(&bars(&closes), &about(Some("7")), Some("No/Where")).is_some(), "{closes:?}");
        }
        let mut backwards = bars(&["1", "2"]);
        backwards.reverse();
        backwards[1].to = backwards[0].from;
        assert_eq!(png(&backwards, &about(None), None), None);
    }
}
