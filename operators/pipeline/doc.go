// Package pipeline reads the one YAML file that says what a nudge node does: where events come from, what is decided,
// what it may cost, and what the node may use. Parse turns text into a Config or into a list of Faults.
//
// There are only three types that matter: Config, Fault and Secret. The deciders' sections are the exported structs of
// package operators; a setting is declared once, as a field with a yaml tag, and gets its default once, in Default.
//
// Invariants:
//
//  1. Parse reports every fault at once, each with file, line, column and key, what was found, what is allowed and,
//     where a word is misspelt, the word that was meant.
//  2. Parse never panics and never prints a secret: secrets are {env: NAME} or {file: path}, and text found in their
//     place is left out of the fault.
//  3. A Config that Parse returned without faults is valid as a whole and is not changed afterwards.
//  4. Text returns the bytes that were parsed. Their hash is the policy that every decision carries.
//  5. A file written for another major version of the format is refused, never guessed at.
package pipeline
