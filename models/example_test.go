package models_test

import (
	"fmt"

	"nudge/models"
)

func ExampleCoOccurrence() {
	const kettle, teapot, cups = models.Item(0), models.Item(1), models.Item(2)
	names := []string{"kettle", "teapot", "cups"}
	m := models.NewCoOccurrence(models.DefaultCoOccurrence(14 * 24 * 3600 * 1000))
	m.Learn(kettle, nil, 0, 1)
	m.Learn(teapot, []models.Item{kettle}, 0, 1)
	m.Learn(cups, []models.Item{teapot, kettle}, 0, 1)

	s := models.NewScratch()
	m.Score(s, []models.Item{kettle}, 0)
	for _, c := range s.Top(2, func(models.Item) bool { return true }) {
		fmt.Printf("%s %.2f, because of %s\n", names[c.Item], c.Score, names[c.Source])
	}
	// Output:
	// teapot 1.00, because of kettle
	// cups 0.80, because of kettle
}

func ExampleRhythm() {
	const day = 24 * 3600 * 1000
	m := &models.Rhythm{}
	for range 100 {
		m.Learn(30 * day)
	}
	often := models.Purchases{Count: 10, FirstMS: 0, LastMS: 63 * day} // every week
	for _, silent := range []int64{7, 30, 60} {
		fmt.Printf("%d days: %.2f\n", silent, m.Left(often, often.LastMS+silent*day))
	}
	// Output:
	// 7 days: 0.06
	// 30 days: 0.34
	// 60 days: 0.83
}
