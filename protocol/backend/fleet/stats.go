package fleet

import "math"

// nbTail is P(K >= k) of a negative binomial with this mean and dispersion r: counts that
// vary more than Poisson's, as silences do, which share causes nobody told us of.
func nbTail(k int, mean, r float64) float64 {
	if k <= 0 {
		return 1
	}
	if mean <= 0 {
		return 0
	}
	p := r / (r + mean)
	term := math.Exp(r * math.Log(p)) // P(K = 0)
	below := term
	for i := 1; i < k; i++ {
		term *= (r + float64(i) - 1) / float64(i) * (1 - p)
		below += term
	}
	if rest := 1 - below; rest > 1e-12 {
		return rest
	}
	// The difference has no digits left: sum the tail itself.
	term *= (r + float64(k) - 1) / float64(k) * (1 - p)
	sum := 0.0
	for i := k; i < k+500 && term > 0; i++ {
		sum += term
		term *= (r + float64(i)) / float64(i+1) * (1 - p)
	}
	return sum
}

// fisher is the one-sided exact test: how probable it is that a of n and b of m, or a
// greater contrast, come of one and the same share.
func fisher(a, n, b, m int) float64 {
	if n <= 0 || m <= 0 || a <= 0 {
		return 1
	}
	total, hits := n+m, a+b
	sum := 0.0
	for x := a; x <= min(n, hits); x++ {
		if hits-x > m {
			continue
		}
		sum += math.Exp(lchoose(n, x) + lchoose(m, hits-x) - lchoose(total, hits))
	}
	return min(sum, 1)
}

func lchoose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}
