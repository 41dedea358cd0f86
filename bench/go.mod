module convoke/bench

go 1.25
