// Package bisect finds the edge of a boolean by bisection.
package bisect

// Size is what can be bisected.
type Size interface{ ~int | ~float64 }

// Tolerance is how close the two sides of an edge must come. The wider of the two fields
// counts.
type Tolerance struct {
	Share  float64 // of the smallest size known to be lost
	Within float64 // in the size's own unit
}

// Edge is the two sides of an edge.
type Edge[T Size] struct {
	Survived T // the last size that was survived; 0 if none was tried that was
	Lost     T // the last size that was lost
}

// Middle returns the middle of the edge.
func (e Edge[T]) Middle() T { return (e.Survived + e.Lost) / 2 }

// Find bisects between 0, which counts as survived, and most. found is false if most itself is
// survived.
//
// lost may be noisy: it is asked about each size once, every answer halves the interval, and
// so Find always ends. Survived is then a size that was survived and Lost one that was lost,
// with sizes between them that could be either. The first error of lost ends the search.
func Find[T Size](most T, tolerance Tolerance, lost func(size T) (bool, error)) (edge Edge[T], found bool, err error) {
	if found, err = lost(most); err != nil || !found {
		return edge, false, err
	}
	edge.Lost = most
	for float64(edge.Lost-edge.Survived) > max(tolerance.Within, tolerance.Share*float64(edge.Lost)) {
		middle := edge.Middle()
		if middle == edge.Survived || middle == edge.Lost {
			break // there is no size between them
		}
		gone, err := lost(middle)
		if err != nil {
			return edge, false, err
		}
		if gone {
			edge.Lost = middle
		} else {
			edge.Survived = middle
		}
	}
	return edge, true, nil
}
