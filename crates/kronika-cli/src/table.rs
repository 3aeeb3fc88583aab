//! Tables of text, whose columns stand below each other.

use std::fmt;

/// A table: its heads, and rows of as many cells.
pub struct Table<const COLUMNS: usize> {
    heads: [&'static str; COLUMNS],
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub fn new(heads: [&'static str; COLUMNS]) -> Self {
        Self { heads, rows: Vec::new() }
    }

    pub fn push(&mut self, row: [String; COLUMNS]) {
        self.rows.push(row);
    }
}

impl<const COLUMNS: usize> fmt::Display for Table<COLUMNS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = self.heads.map(str::to_owned);
        let all = || std::iter::once(&heads).chain(&self.rows);
        let length = |cell: &String| cell.chars().count();
        let mut widths = [0; COLUMNS];
        for row in all() {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(length(cell));
            }
        }
        for (number, row) in all().enumerate() {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            let end = if number == self.rows.len() { "" } else { "\n" };
            write!(f, "{}{end}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_and_no_line_ends_with_spaces() {
        let mut table = Table::new(["name", "events"]);
        table.push(["ü".to_owned(), "1".to_owned()]);
        table.push(["longest".to_owned(), String::new()]);
        assert_eq!(table.to_string(), "name     events\nü        1\nlongest");
    }
}
