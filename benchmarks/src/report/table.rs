//! A table with a title, as aligned text or as Markdown.

/// Rows of cells; the first column names the row.
pub(super) struct Table {
    title: String,
    header: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(title: &str, header: impl IntoIterator<Item = String>) -> Self {
        Self { title: title.into(), header: header.into_iter().collect(), rows: Vec::new() }
    }

    pub(super) fn render(&self, markdown: bool) -> String {
        let widths: Vec<_> = (0..self.header.len())
            .map(|column| {
                let cells = [&self.header].into_iter().chain(&self.rows).filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
            })
            .collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
                0 => format!("{cell:width$}"),
                _ => format!("{cell:>width$}"),
            });
            let cells: Vec<_> = cells.collect();
            if markdown {
                format!("| {} |\n", cells.join(" | "))
            } else {
                format!("  {}\n", cells.join("   ").trim_end())
            }
        };
        let rows: String = self.rows.iter().map(line).collect();
        if markdown {
            let columns = widths.iter().enumerate().map(|(column, width)| match column {
                0 => format!("|{}", "-".repeat(width + 2)),
                _ => format!("|{}:", "-".repeat(width + 1)),
            });
            format!("\n### {}\n\n{}{}|\n{rows}", self.title, line(&self.header), columns.collect::<String>())
        } else {
            format!("\n{}\n{}{rows}", self.title, line(&self.header))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_has_a_rule_under_the_header_and_as_many_cells_in_each_line() {
        let mut table = Table::new("T", ["".to_owned(), "a".into()]);
        table.rows.push(vec!["row".into(), "1".into()]);
        let text = table.render(true);
        assert_eq!(text, "\n### T\n\n|     | a |\n|-----|--:|\n| row | 1 |\n");
    }
}
