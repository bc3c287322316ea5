package client

import "time"

// SetDescribeEvery makes watches see soon what is otherwise seen after a while.
func SetDescribeEvery(d time.Duration) { describeEvery = d }
