//! `plot`: plots of results.

use crate::error::BenchError;
use crate::options::{Plot, PlotOptions};
use crate::report::Report;
use crate::text::grouped;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use std::collections::BTreeMap;
use std::fs;

const SIZE: (u32, u32) = (1000, 600);

/// One line for each label, in the order in which the labels first occur.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// Plots the results.
///
/// # Errors
/// If a file is not a result, or the plot cannot be written.
pub fn run(options: &PlotOptions) -> Result<(), BenchError> {
    let reports = options.files.iter().map(|file| Report::read_json(file)).collect::<Result<Vec<_>, _>>()?;
    let picture = match options.plot {
        Plot::Percentiles => percentiles(&reports)?,
        Plot::Pipelines => pipelines(&reports)?,
    };
    fs::write(&options.out, picture).map_err(|source| BenchError::File { path: options.out.clone(), source })
}

fn percentiles(reports: &[Report]) -> Result<String, BenchError> {
    let lines = by_name(reports, |reports| {
        // For several runs of one label: at each percentile, the median of those that have it.
        let mut points: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for (percentile, us) in reports.iter().flat_map(|report| &report.percentiles) {
            points.entry((percentile * 1e8).round() as u64).or_default().push(*us);
        }
        points.into_iter().map(|(key, us)| (nines(key as f64 / 1e8), median(us))).collect()
    });
    let x_max = bound(&lines, |point| point.0).1.ceil().max(1.0);
    let (low, high) = bound(&lines, |point| point.1);
    let (low, high) = (low.max(0.1), high.max(1.0));
    let title = title("Latency", reports);
    let axes = Axes {
        title: &title,
        x: "percentile",
        y: "µs",
        x_labels: x_max as usize + 1,
        x_text: &|nines| percentile_text(*nines),
        y_text: &|us| format!("{us}"),
    };
    draw(&lines, 0.0..x_max, (low / 1.2..high * 1.2).log_scale(), &axes)
}

fn pipelines(reports: &[Report]) -> Result<String, BenchError> {
    let lines = by_name(reports, |reports| {
        let mut points: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for report in reports {
            points.entry(report.pipeline.unwrap_or(1)).or_default().push(report.rate);
        }
        points.into_iter().map(|(pipeline, rates)| (f64::from(pipeline).log2(), median(rates))).collect()
    });
    let (x_max, y_max) = (bound(&lines, |point| point.0).1.ceil().max(1.0), bound(&lines, |point| point.1).1);
    let title = title("Throughput", reports);
    let axes = Axes {
        title: &title,
        x: "commands in flight per connection",
        y: "operations/s",
        x_labels: x_max as usize + 1,
        x_text: &|log| format!("{}", log.exp2().round()),
        y_text: &|rate| grouped(rate.round()),
    };
    draw(&lines, 0.0..x_max, 0.0..y_max * 1.1, &axes)
}

/// The number of nines of a percentile: 1 for 90, 2 for 99.
fn nines(percentile: f64) -> f64 {
    // Rounded, so that exact ones are integers; and not -0 for the first.
    ((1.0 - percentile / 100.0).log10() * -1e6).round().max(0.0) / 1e6
}

/// The inverse of [`nines`], as text.
fn percentile_text(nines: f64) -> String {
    let digits = (nines - 2.0).max(0.0).ceil() as usize;
    format!("{:.digits$} %", 100.0 * (1.0 - 10_f64.powf(-nines)))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
    (low + high) / 2.0
}

/// What the runs have in common.
fn title(what: &str, reports: &[Report]) -> String {
    let mut workloads: Vec<&str> = reports.iter().map(|report| report.workload.as_str()).collect();
    workloads.dedup();
    match workloads[..] {
        [workload] => format!("{what}: {workload}"),
        _ => what.to_owned(),
    }
}

fn by_name(reports: &[Report], points: impl Fn(&[&Report]) -> Vec<(f64, f64)>) -> Vec<Line> {
    let mut names: Vec<&str> = Vec::new();
    for report in reports {
        if !names.contains(&report.name()) {
            names.push(report.name());
        }
    }
    let line = |name: &str| {
        let named: Vec<&Report> = reports.iter().filter(|report| report.name() == name).collect();
        Line { name: name.to_owned(), points: points(&named) }
    };
    names.into_iter().map(line).collect()
}

fn bound(lines: &[Line], part: impl Fn(&(f64, f64)) -> f64) -> (f64, f64) {
    let values = lines.iter().flat_map(|line| &line.points).map(part);
    values.fold((f64::MAX, 0.0), |(low, high), value| (low.min(value), high.max(value)))
}

struct Axes<'a> {
    title: &'a str,
    x: &'a str,
    y: &'a str,
    x_labels: usize,
    x_text: &'a dyn Fn(&f64) -> String,
    y_text: &'a dyn Fn(&f64) -> String,
}

fn draw<Y>(lines: &[Line], x: std::ops::Range<f64>, y: Y, axes: &Axes<'_>) -> Result<String, BenchError>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    let mut picture = String::new();
    draw_into(&mut picture, lines, x, y, axes).map_err(|error| BenchError::Plot(error.to_string()))?;
    Ok(picture)
}

fn draw_into<Y>(
    picture: &mut String,
    lines: &[Line],
    x: std::ops::Range<f64>,
    y: Y,
    axes: &Axes<'_>,
) -> Result<(), Box<dyn std::error::Error>>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    let root = SVGBackend::with_string(picture, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(axes.title, ("sans-serif", 22))
        .margin(16)
        .margin_right(48)
        .x_label_area_size(44)
        .y_label_area_size(90)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .x_desc(axes.x)
        .y_desc(axes.y)
        .x_labels(axes.x_labels)
        .y_labels(20)
        .x_label_formatter(axes.x_text)
        .y_label_formatter(axes.y_text)
        .light_line_style(WHITE)
        .draw()?;
    for (at, line) in lines.iter().enumerate() {
        let color = Palette99::pick(at).to_rgba();
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), color.stroke_width(2)).point_size(2))?
            .label(&line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn percentiles_stand_by_their_nines() {
        assert_eq!([0.0, 90.0, 99.0].map(nines), [0.0, 1.0, 2.0]);
        assert_eq!([0.0, 1.0, 2.0, 3.0, 4.0].map(percentile_text), ["0 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
    }

    #[test]
    fn a_plot_names_every_label_once() {
        let reports = [report("one", 1, 1e5), report("two", 1, 2e5), report("one", 16, 1e6), report("one", 16, 3e6)];
        for picture in [percentiles(&reports).unwrap(), pipelines(&reports).unwrap()] {
            assert!(picture.starts_with("<svg"));
            for name in ["one", "two"] {
                assert_eq!(picture.lines().filter(|line| line.trim() == name).count(), 1, "{name}");
            }
        }
    }

    #[test]
    fn runs_of_one_label_and_depth_count_as_their_median() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0]), 2.5);
    }
}
