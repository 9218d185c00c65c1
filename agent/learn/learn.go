// Package learn keeps what faults turned out to be, per home operator, and moves
// the priors of the weight table by it within stated bounds. It is pure. It
// counts only what was confirmed later; a verdict never confirms itself.
package learn

import (
	"maps"
	"math"
	"slices"

	"cellwarden/agent/diag"
)

const (
	// pseudo is what the built-in priors weigh against experience, in incidents
	// (diagnosis.md §5.4).
	pseudo = 8
	// maxDB is how far a prior may move either way: a factor of two, less than
	// what any single piece of evidence weighs.
	maxDB = 3.0
	// maxCount bounds a class's count. When one reaches it all of the operator's
	// are halved, so that old experience fades.
	maxCount = 64
	// maxCarriers bounds the operators: a device sees one or two cards in its life.
	maxCarriers = 4
)

// A Book holds confirmed faults: by home operator ("" where not known), by
// class. The zero value is empty and ready.
type Book map[string]map[diag.Code]int

// counts reports whether class has a prior that experience may move.
func counts(class diag.Code) bool { return diag.DefaultWeights.Priors[string(class)] > 0 }

// Add counts one confirmed fault. Groups and health have no prior and do not
// count. It reports whether it did.
func (b *Book) Add(carrier string, class diag.Code) bool {
	if !counts(class) {
		return false
	}
	if *b == nil {
		*b = Book{}
	}
	if (*b)[carrier] == nil {
		for len(*b) >= maxCarriers {
			delete(*b, b.least())
		}
		(*b)[carrier] = map[diag.Code]int{}
	}
	c := (*b)[carrier]
	c[class]++
	if c[class] >= maxCount {
		for k, n := range c {
			if c[k] = n / 2; c[k] == 0 {
				delete(c, k)
			}
		}
	}
	return true
}

// Take undoes an Add: somebody knew better.
func (b *Book) Take(carrier string, class diag.Code) {
	c := (*b)[carrier]
	if c[class]--; c[class] <= 0 {
		delete(c, class)
	}
	if len(c) == 0 {
		delete(*b, carrier)
	}
}

// least is the operator with the fewest faults.
func (b Book) least() string {
	least, fewest := "", math.MaxInt
	for _, carrier := range slices.Sorted(maps.Keys(b)) {
		if n := total(b[carrier]); n < fewest {
			least, fewest = carrier, n
		}
	}
	return least
}

func total(c map[diag.Code]int) int {
	n := 0
	for _, v := range c {
		n += v
	}
	return n
}

// Priors are base blended with what was confirmed of carrier, in per cent; nil
// where nothing was. The blend is what pseudo incidents of the base and the
// confirmed ones give together, within maxDB of the base; and it is trusted only
// as far as there are incidents, so that the first one moves a third of a
// decibel and the eighth half of the bound.
func (b Book) Priors(base *diag.Weights, carrier string) map[string]float64 {
	c := b[carrier]
	if total(c) == 0 {
		return nil
	}
	if base == nil {
		base = diag.DefaultWeights
	}
	sum := 0.0
	for _, p := range base.Priors {
		sum += p
	}
	n := float64(total(c))
	out := map[string]float64{}
	for class, p := range base.Priors {
		blend := sum * (pseudo*p/sum + float64(c[diag.Code(class)])) / (pseudo + n)
		db := max(-maxDB, min(maxDB, 10*math.Log10(blend/p))) * n / (pseudo + n)
		// Rounded, so that an export in decimal gives the same verdict.
		out[class] = math.Round(1000*p*math.Pow(10, db/10)) / 1000
	}
	return out
}

// Table is base with the given priors in place of its own; base itself where
// there are none. Neither is changed.
func Table(base *diag.Weights, priors map[string]float64) *diag.Weights {
	if len(priors) == 0 {
		return base
	}
	if base == nil {
		base = diag.DefaultWeights
	}
	out := *base
	out.Priors = maps.Clone(base.Priors)
	maps.Copy(out.Priors, priors)
	return &out
}

// Clone is a copy that shares nothing.
func (b Book) Clone() Book {
	out := Book{}
	for carrier, c := range b {
		out[carrier] = maps.Clone(c)
	}
	return out
}

// Clip drops what a kept book should not hold: classes without a prior, counts
// out of bounds, too many operators.
func (b Book) Clip() Book {
	for carrier, c := range b {
		for class, n := range c {
			if n <= 0 || !counts(class) {
				delete(c, class)
			} else {
				c[class] = min(n, maxCount)
			}
		}
		if len(c) == 0 {
			delete(b, carrier)
		}
	}
	for len(b) > maxCarriers {
		delete(b, b.least())
	}
	return b
}
