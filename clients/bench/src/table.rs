//! Figures as a Markdown table: medians with their range, and ratios of what was measured side by side.

/// What a larger figure means, and so how it is held against another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FigureKind {
    /// More is better: a share.
    Rate,
    /// Less is better: a multiple.
    Cost,
    /// No share of it says anything.
    Plain,
}

/// One line of the table.
#[derive(Debug, Clone)]
struct Row {
    name: String,
    kind: FigureKind,
    digits: usize,
    /// The figures of each column, one for each repeat.
    figures: Vec<Vec<f64>>,
}

/// A table that fills up. Its first column is the server; its last the ceiling.
#[derive(Debug)]
pub(crate) struct ReportTable {
    columns: Vec<String>,
    rows: Vec<Row>,
}

impl ReportTable {
    pub(crate) fn new(columns: Vec<String>) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Notes a figure, if there is one; the row is made where it is first named.
    pub(crate) fn note(
        &mut self,
        name: &str,
        kind: FigureKind,
        digits: usize,
        column: usize,
        figure: impl Into<Option<f64>>,
    ) {
        let at = self.rows.iter().position(|row| row.name == name).unwrap_or_else(|| {
            let figures = vec![Vec::new(); self.columns.len()];
            self.rows.push(Row { name: name.to_owned(), kind, digits, figures });
            self.rows.len() - 1
        });
        if let Some(figures) = self.rows.get_mut(at).and_then(|row| row.figures.get_mut(column)) {
            figures.extend(figure.into());
        }
    }

    /// The table as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut heads = vec!["measured".to_owned()];
        for (at, column) in self.columns.iter().enumerate() {
            heads.push(column.clone());
            if at > 0 {
                heads.push(format!("{} to {column}", self.columns[0]));
            }
        }
        let mut text = format!("| {} |\n|---|{}\n", heads.join(" | "), "--:|".repeat(heads.len() - 1));
        for row in &self.rows {
            let mut cells = vec![row.name.clone()];
            for (at, figures) in row.figures.iter().enumerate() {
                cells.push(cell(figures, row.digits));
                if at > 0 {
                    cells.push(ratio(row.kind, &row.figures[0], figures));
                }
            }
            text.push_str("| ");
            text.push_str(&cells.join(" | "));
            text.push_str(" |\n");
        }
        text
    }
}

/// The middle one; of an even number the lower of the two in the middle. None of none.
fn median(figures: &[f64]) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

/// The median, and in brackets the least and the most of several.
fn cell(figures: &[f64], digits: usize) -> String {
    let Some(middle) = median(figures) else { return "–".to_owned() };
    let middle = number(middle, digits);
    let least = number(figures.iter().copied().fold(f64::MAX, f64::min), digits);
    let most = number(figures.iter().copied().fold(f64::MIN, f64::max), digits);
    if figures.len() == 1 || least == most { middle } else { format!("{middle} ({least}–{most})") }
}

/// The median of the ratios of neighbouring windows: what else the machine did then slowed both.
fn ratio(kind: FigureKind, ours: &[f64], theirs: &[f64]) -> String {
    let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
    match (kind, median(&ratios)) {
        (FigureKind::Rate, Some(ratio)) => format!("{:.0} %", 100.0 * ratio),
        (FigureKind::Cost, Some(ratio)) => format!("{ratio:.2} ×"),
        (FigureKind::Rate | FigureKind::Cost | FigureKind::Plain, _) => "–".to_owned(),
    }
}

/// A number with commas between its thousands.
fn number(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let (whole, rest) =
        text.split_once('.').map_or((text.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    rest.map_or(grouped.clone(), |rest| format!("{grouped}.{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_ranges_and_ratios_stand_in_their_columns() {
        let mut table = ReportTable::new(vec!["heddle".into(), "before".into(), "ceiling".into()]);
        for (column, figures) in [[900.0, 1_100.0, 1_000.0], [450.0, 220.0, 500.0]].iter().enumerate() {
            for figure in figures {
                table.note("turns/s", FigureKind::Rate, 0, column, *figure);
            }
        }
        table.note("turns/s", FigureKind::Rate, 0, 2, 4_000.0);
        table.note("CPU", FigureKind::Cost, 2, 2, None);
        table.note("CPU", FigureKind::Cost, 2, 0, 0.5);
        table.note("CPU", FigureKind::Cost, 2, 1, 0.25);
        table.note("live", FigureKind::Plain, 0, 0, 1_234_567.0);
        table.note("live", FigureKind::Plain, 0, 1, 1.0);
        let wanted = "| measured | heddle | before | heddle to before | ceiling | heddle to ceiling |\n\
                      |---|--:|--:|--:|--:|--:|\n\
                      | turns/s | 1,000 (900–1,100) | 450 (220–500) | 200 % | 4,000 | 22 % |\n\
                      | CPU | 0.50 | 0.25 | 2.00 × | – | – |\n\
                      | live | 1,234,567 | 1 | – | – | – |\n";
        assert_eq!(table.markdown(), wanted);
    }
}
