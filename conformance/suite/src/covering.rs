//! Covering arrays: few rows in which every choice of values of any few columns occurs.

use crate::random::Random;

/// Rows of a value for each column, which has `levels` of them, so that each choice of values for any `strength` columns occurs in a
/// row. The first row has value 0 everywhere. The same for the same `seed`.
///
/// Built row by row: each begins with a choice that has not occurred, and takes, in each other column, the value with which most such
/// choices occur.
pub(crate) fn covering_array(levels: &[usize], strength: usize, seed: u64) -> Vec<Vec<usize>> {
    let strength = strength.min(levels.len());
    let mut random = Random::from_seed(seed);
    let mut missing = Vec::new();
    for columns in choices(levels.len(), strength) {
        values(&columns, levels, &mut |choice| missing.push(choice));
    }
    let mut rows = Vec::new();
    let mut next = vec![Some(0); levels.len()];
    loop {
        let row = complete(next, levels, &missing, &mut random);
        missing.retain(|choice| !choice.iter().all(|(column, value)| row[*column] == *value));
        rows.push(row);
        let Some(first) = missing.first() else { return rows };
        next = vec![None; levels.len()];
        first.iter().for_each(|(column, value)| next[*column] = Some(*value));
    }
}

/// A value for each of some columns.
type Choice = Vec<(usize, usize)>;

/// Every `count` of the first `columns` columns.
fn choices(columns: usize, count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let with_last = |last: usize| {
        choices(last, count - 1).into_iter().map(move |mut columns| {
            columns.push(last);
            columns
        })
    };
    (count - 1..columns).flat_map(with_last).collect()
}

/// Every choice of values for these columns.
fn values(columns: &[usize], levels: &[usize], take: &mut dyn FnMut(Choice)) {
    let count: usize = columns.iter().map(|column| levels[*column]).product();
    for mut number in 0..count {
        let value = |column: &usize| {
            let value = number % levels[*column];
            number /= levels[*column];
            (*column, value)
        };
        take(columns.iter().map(value).collect());
    }
}

/// Fills the columns that have no value, in random order.
fn complete(mut row: Vec<Option<usize>>, levels: &[usize], missing: &[Choice], random: &mut Random) -> Vec<usize> {
    let mut open: Vec<usize> = (0..row.len()).filter(|column| row[*column].is_none()).collect();
    while !open.is_empty() {
        let column = open.swap_remove(random.below(open.len()));
        let first = random.below(levels[column]);
        let candidates = (0..levels[column]).map(|step| (first + step) % levels[column]);
        let gain = |value: usize| {
            let fits = |(at, wanted): &(usize, usize)| match row[*at] {
                Some(chosen) => chosen == *wanted,
                None => *at == column && value == *wanted,
            };
            missing.iter().filter(|choice| choice.contains(&(column, value)) && choice.iter().all(fits)).count()
        };
        row[column] = candidates.max_by_key(|value| gain(*value));
    }
    row.into_iter().map(|value| value.expect("every column got a value")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVELS: &[usize] = &[3, 2, 4, 2, 2, 3, 3, 2, 3, 2, 1];

    #[test]
    fn every_choice_of_so_many_columns_occurs() {
        for strength in 1..=3 {
            let rows = covering_array(LEVELS, strength, 7);
            for columns in choices(LEVELS.len(), strength) {
                values(&columns, LEVELS, &mut |choice| {
                    let has = |row: &Vec<usize>| choice.iter().all(|(column, value)| row[*column] == *value);
                    assert!(rows.iter().any(has), "{choice:?} does not occur");
                });
            }
        }
    }

    #[test]
    fn rows_are_few_and_the_first_is_plain() {
        let counts: Vec<usize> = (1..=3).map(|strength| covering_array(LEVELS, strength, 0).len()).collect();
        assert!(counts[0] <= 4 && counts[1] <= 20 && counts[2] <= 70, "{counts:?}");
        assert_eq!(covering_array(LEVELS, 2, 0)[0], [0; 11]);
    }

    #[test]
    fn the_same_seed_gives_the_same_rows() {
        assert_eq!(covering_array(LEVELS, 2, 5), covering_array(LEVELS, 2, 5));
        assert_ne!(covering_array(LEVELS, 2, 5), covering_array(LEVELS, 2, 6));
    }

    #[test]
    fn columns_without_a_choice_make_one_row() {
        assert_eq!(covering_array(&[1, 1], 2, 0), [[0, 0]]);
    }
}
