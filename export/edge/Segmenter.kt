import android.content.Context
import android.graphics.Bitmap
import android.graphics.Color
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import org.json.JSONObject

/**
 * A net of a bundle on a picture of any size. Assets: bundle.json, and model_uint8.tflite for the CPU or
 * model_float16.tflite for the GPU. Threads may share it: their pictures are segmented in turn.
 */
class Segmenter(context: Context, accelerator: Accelerator = Accelerator.CPU, threads: Int = 2) : AutoCloseable {
    private val about = JSONObject(context.assets.open("bundle.json").bufferedReader().use { it.readText() })
    private val channels = about.getInt("channels")
    private val tile = about.getInt("tile") // side of the input
    private val output = about.getInt("output") // side of the outputs
    private val step = about.getInt("step") // pixels of the picture that a tile gives
    private val halo = about.getInt("halo") // pixels that it reads before them
    private val margin = about.getInt("margin") // pixels of its outputs before them
    private val classes = about.getJSONArray("classes").length()
    private val calibration = about.optJSONObject("calibration") // none in bundles of earlier builds
    private val threshold = (calibration?.getDouble("threshold") ?: 0.5).toFloat() // of two classes

    init {
        val pixels = about.getString("pixel_type")
        require(pixels == "uint8") { "The net must have been trained on 8-bit pictures; it was on $pixels." }
    }

    private val normalisation = about.getJSONObject("normalisation")
    private val mean = normalisation.getJSONArray("mean")
    private val nodata = normalisation.optJSONArray("nodata")?.let { List(it.length(), it::getDouble) }.orEmpty()

    /** As what a byte of a channel counts in whole numbers: values of "no measurement" as the mean. */
    private val counted =
        List(channels) { channel ->
            val filled = Math.rint(mean.getDouble(channel)).toInt()
            ByteArray(256) { (if (it.toDouble() in nodata) filled else it).toByte() }
        }

    /** Whether the channels are others than all those of one picture: picked, of several files, of several planes. */
    private val chosen =
        about.optJSONObject("channels_of_files")?.let { // none in bundles of earlier builds
            it.getJSONArray("picked").length() + it.getJSONArray("suffixes").length() + it.getInt("context") > 0
        } ?: false

    private val onCpu = accelerator == Accelerator.CPU
    private val file = if (onCpu) "model_uint8.tflite" else "model_float16.tflite"
    private val signature = if (onCpu) "serving_default" else "probabilities" // not all GPUs have a right ARG_MAX
    private val outputs = if (onCpu) listOf("mask", "probabilities") else listOf("probabilities")

    private val model =
        CompiledModel.create(
            context.assets,
            file,
            CompiledModel.Options(accelerator, Accelerator.CPU).apply {
                cpuOptions = CompiledModel.CpuOptions(threads)
                gpuOptions = CompiledModel.GpuOptions(precision = CompiledModel.GpuOptions.Precision.FP32)
            },
        )
    private val image = model.createInputBuffer("image", signature)
    private val found = outputs.associateWith { model.createOutputBuffer(it, signature) }

    /** Class ids of 8-bit pixels, row by row, the channels in the order of the net: grey, R G B, or what it takes. */
    @Synchronized
    fun segment(pixels: ByteArray, height: Int, width: Int): ByteArray {
        require(height > 0 && width > 0 && pixels.size == height * width * channels) {
            "A picture must be $height x $width x $channels bytes; received ${pixels.size}."
        }
        val labels = ByteArray(height * width)
        for (top in 0 until height step step) {
            for (left in 0 until width step step) {
                val mask = run(window(pixels, height, width, top, left))
                val columns = minOf(step, width - left)
                for (row in 0 until minOf(step, height - top)) {
                    val from = (margin + row) * output + margin
                    mask.copyInto(labels, (top + row) * width + left, from, from + columns)
                }
            }
        }
        return labels
    }

    /** Class ids of a Bitmap's pixels (not of Bitmap.Config.HARDWARE), without its transparency. */
    fun segment(picture: Bitmap): ByteArray {
        require(!chosen) {
            "A Bitmap is grey or R G B; the net takes channels that were picked, or are of several files or planes " +
                "(channels_of_files in bundle.json). Give their bytes: segment(pixels, height, width)."
        }
        require(channels == 1 || channels == 3) { "A Bitmap is grey or R G B; the net takes $channels channels." }
        val row = IntArray(picture.width) // whose whole numbers of a whole picture would be larger than its bytes
        val pixels = ByteArray(picture.height * picture.width * channels)
        for (y in 0 until picture.height) {
            picture.getPixels(row, 0, row.size, 0, y, row.size, 1)
            val grey = row.all { Color.red(it) == Color.green(it) && Color.green(it) == Color.blue(it) }
            require(channels == 3 || grey) { "The net takes grey pictures; this one has colours." }
            val start = y * row.size * channels
            for (i in 0 until row.size * channels) {
                pixels[start + i] = (row[i / channels] shr (16 - 8 * (i % channels))).toByte()
            }
        }
        return segment(pixels, picture.height, picture.width)
    }

    /** Class ids as a Bitmap to lay over the picture: class 0 clear, each other one in a colour. */
    fun painted(labels: ByteArray, height: Int, width: Int): Bitmap {
        val colours =
            IntArray(256) { if (it == 0) Color.TRANSPARENT else Color.HSVToColor(floatArrayOf(it * 137.5f % 360, 1f, 1f)) }
        val pixels = IntArray(labels.size) { colours[labels[it].toInt() and 0xFF] }
        return Bitmap.createBitmap(pixels, width, height, Bitmap.Config.ARGB_8888)
    }

    /** What the net reads for the tile at (top, left): tile x tile x channels, mirrored outside of the picture. */
    private fun window(pixels: ByteArray, height: Int, width: Int, top: Int, left: Int): ByteArray {
        val window = ByteArray(tile * tile * channels)
        for (row in 0 until tile) {
            val y = mirrored(top - halo + row, height)
            for (column in 0 until tile) {
                val pixel = (y * width + mirrored(left - halo + column, width)) * channels
                pixels.copyInto(window, (row * tile + column) * channels, pixel, pixel + channels)
            }
        }
        return window
    }

    /** Class ids of a window: output x output. */
    private fun run(window: ByteArray): ByteArray {
        if (onCpu) {
            val bytes = ByteArray(window.size) { counted[it % channels][window[it].toInt() and 0xFF] }
            image.writeInt8(bytes) // as bytes: the file's type is uint8
        } else {
            image.writeFloat(FloatArray(window.size) { (window[it].toInt() and 0xFF).toFloat() })
        }
        model.run(mapOf("image" to image), found, signature)
        return if (onCpu) found.getValue("mask").readInt8() else labels(found.getValue("probabilities").readFloat())
    }

    /** The most probable class of each pixel, the first of equals; of two classes, by the threshold. */
    private fun labels(probabilities: FloatArray): ByteArray {
        check(probabilities.all { it.isFinite() }) { "A net must give finite probabilities; this one does not here." }
        return ByteArray(output * output) { pixel ->
            val first = pixel * classes
            if (classes == 2 && threshold != 0.5f) {
                (if (probabilities[first + 1] > threshold) 1 else 0).toByte()
            } else {
                (0 until classes).maxByOrNull { probabilities[first + it] }!!.toByte()
            }
        }
    }

    /** Index into an axis of `size` pixels, mirrored outside of it without its edge twice: 3 2 1 | 0 1 2 3 | 2 1 0. */
    private fun mirrored(position: Int, size: Int): Int {
        val period = maxOf(1, 2 * (size - 1))
        val index = Math.floorMod(position, period)
        return minOf(index, period - index)
    }

    @Synchronized
    override fun close() {
        image.close()
        found.values.forEach { it.close() }
        model.close()
    }
}
