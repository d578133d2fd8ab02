//! `zyre cheat`: prints the cookbook.

use crate::args;
use crate::cookbook::{RECIPES, page};
use crate::failure::Failure;
use crate::output::Output;

pub(crate) fn run(mut output: Output, args: &args::Cheat) -> Result<(), Failure> {
    let recipes: Vec<_> =
        RECIPES.iter().filter(|recipe| args.word.as_ref().is_none_or(|word| recipe.is_about(word))).collect();
    if let Some(word) = args.word.as_ref().filter(|_| recipes.is_empty()) {
        let problem = format!("no line has {word:?} in it; `zyre cheat` prints all");
        return Err(Failure::Usage(problem));
    }
    if output.is_json() {
        recipes.iter().try_for_each(|recipe| output.line(recipe))?;
    } else {
        output.text(page(&recipes).as_bytes())?;
    }
    output.flush()
}
