//! What was measured beside what is wanted.

use std::fmt;

/// What a figure has to keep.
#[derive(Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(least) => figure >= least,
            Self::AtMost(most) => figure <= most,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, ">= {least}"),
            Self::AtMost(most) => write!(f, "<= {most}"),
        }
    }
}

/// One line of the table.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    /// What was measured, for people.
    pub(crate) absolute: String,
    /// What is judged: a ratio, or the figure itself where it has no other to stand beside.
    pub(crate) judged: f64,
    /// `None`: it is there to be compared with the next one.
    pub(crate) required: Option<Bound>,
    /// What is wished for, where that is more.
    pub(crate) goal: Option<Bound>,
}

impl Figure {
    fn verdict(&self) -> &'static str {
        let reached = |bound: Bound| bound.holds(self.judged);
        match (self.required.map(reached), self.goal.map(reached)) {
            (Some(false), _) => "MISSED",
            (Some(true), Some(false)) => "ok",
            (None, Some(false)) => "missed",
            (None, None) => "",
            (_, Some(true)) | (Some(true), None) => "goal",
        }
    }

    fn is_kept(&self) -> bool {
        self.required
            .is_none_or(|required| required.holds(self.judged))
    }
}

/// Prints the table; whether everything required was reached.
pub(crate) fn print(figures: &[Figure]) -> bool {
    if figures.is_empty() {
        return true;
    }
    println!(
        "\n{:<36} {:>9} {:>9} {:>9}  {:<7} absolute",
        "figure", "measured", "required", "goal", "verdict"
    );
    for figure in figures {
        let [required, goal] = [figure.required, figure.goal]
            .map(|bound| bound.map(|bound| bound.to_string()).unwrap_or_default());
        println!(
            "{:<36} {:>9.2} {:>9} {:>9}  {:<7} {}",
            figure.name,
            figure.judged,
            required,
            goal,
            figure.verdict(),
            figure.absolute
        );
    }
    figures.iter().all(Figure::is_kept)
}

/// Microseconds for people.
pub(crate) fn show(microseconds: u64) -> String {
    format!("{:.2} ms", microseconds as f64 / 1000.0)
}

/// The middle one; of an even number the higher of the two in the middle.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
