// Slides of a manifest (a CSV with the column `path`, and options of predict), segmented by Nextflow, each row by a task of its own:
//   nextflow run cluster/nextflow/main.nf --slides slides.csv --results /shared/results -resume
// Or all of them by one command, whose workers are started once and pass from slide to slide:
//   nextflow run cluster/nextflow/main.nf --slides slides.csv --results /shared/results --cohort
//
// Results are written to their place, not to the task's folder: each try of a task has a new one, and slideseg goes on from what
// is in the result. Slides are not staged: slideseg finds them as the manifest says, with the files that lie beside them (MRXS,
// DICOM). So the manifest, slides and results are on a file system that all nodes share, and results absolute; slides and
// results may be in a bucket. A row is a line here: no line break in a cell.
params.slides = 'slides.csv'
params.results = '/shared/results'
params.options = ''
params.cohort = false

process SEGMENT {
    tag "row ${row}"
    cpus 8
    memory '48 GB'
    errorStrategy { task.attempt <= 2 ? 'retry' : 'ignore' } // a slide that is missing stops no other; see nextflow.config
    maxRetries 2

    input:
    tuple val(row), val(lines) // what a row says, so that -resume does it again when that has changed

    output:
    path 'report.json'

    script:
    def chosen = row ? "--rows ${row}" : ''
    """
    slideseg predict --manifest '${file(params.slides)}' ${chosen} -o '${params.results}' --workers ${task.cpus} --json ${params.options} > report.json
    """
}

workflow {
    lines = file(params.slides).readLines().findAll { it }
    rows = (1..<lines.size()).collect { row -> [row, [lines[0], lines[row]]] }
    SEGMENT(params.cohort ? channel.of(['', lines]) : channel.fromList(rows))
}
