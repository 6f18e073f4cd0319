module csvexport/infra

go 1.26.0
