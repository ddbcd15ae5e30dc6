// Slides of a manifest (a CSV with the column `path`, and options of predict), segmented by Nextflow, each by a task of its own:
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
    tag "${cells.path}"
    cpus 8
    memory '48 GB'
    errorStrategy 'retry'
    maxRetries 2

    input:
    tuple val(row), val(cells) // what a row says, so that -resume does it again when that has changed

    output:
    path 'report.json'

    script:
    def chosen = row ? "--rows ${row}" : ''
    """
    slideseg predict --manifest '${file(params.slides)}' ${chosen} -o '${params.results}' --workers ${task.cpus} --json ${params.options} > report.json
    """
}

workflow {
    rows = file(params.slides).splitCsv(header: true)
    SEGMENT(params.cohort ? channel.of(['', rows]) : channel.fromList(rows.withIndex(1).collect { cells, row -> [row, cells] }))
}
