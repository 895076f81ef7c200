// Package house holds the rules of the house as tests: import arrows point down, only one room knows each library,
// every package says what it is for, links in the documents lead somewhere, and production code neither exits nor
// panics.
//
// There is nothing to import. The tests read the tree with the go tool; run them with -count=1, since the test cache
// does not see the files that the tool reads.
package house
