// Slides of a table with the column `path`, segmented by Nextflow, each by a task of its own:
//   nextflow run cluster/nextflow/main.nf --slides slides.csv --results /shared/results -resume
// Or all of them by one command, whose workers are started once and pass from slide to slide:
//   nextflow run cluster/nextflow/main.nf --slides slides.csv --results /shared/results --cohort
//
// Results are written to their place, not to the task's folder: each try of a task has a new one, and slideseg goes on from what
// is in the result. Slides are given by path, not staged: files that belong to them (MRXS, DICOM) lie beside them. So both must
// be absolute, and on a file system that all nodes share, or in a bucket.
params.slides = 'slides.csv'
params.results = '/shared/results'
params.options = ''
params.cohort = false

process SEGMENT {
    tag "${slides[0]}"
    cpus 8
    memory '48 GB'
    errorStrategy 'retry'
    maxRetries 2

    input:
    val slides

    output:
    path 'report.json'

    script:
    def words = slides.collect { slide -> "'${slide}'" }.join(' ')
    """
    slideseg predict ${words} -o '${params.results}/' --workers ${task.cpus} --json ${params.options} > report.json
    """
}

workflow {
    paths = channel.fromPath(params.slides).splitCsv(header: true).map { row -> row.path }
    SEGMENT(params.cohort ? paths.collect() : paths.map { slide -> [slide] })
}
